import { PluginError } from '../../base/errors.ts'
import type { AuthDefinition, AuthResponse } from '../../gen/slots/auth.ts'
import type { ServerCall } from '../../wire/answering.ts'
import type { Caller, Handlers } from '../../wire/service.ts'
import { missing, refusalError, refusalOrValue, type Answer } from '../answer.ts'
import { jsonBytes, parseJsonObject } from '../json.ts'
import type { Reading } from '../slot.ts'
import type { Authenticator, LoginAttempt, UserRecord, Verdict } from './contract.ts'
import { dialogueReplyFrom, dialogueReplyOf } from './dialogue-mapping.ts'
import { grantedUserFrom, userBytesOf } from './user-mapping.ts'

/** An authenticator over a connection. */
export function askAuthenticator(
  caller: Caller<AuthDefinition>,
  reading: Reading = {},
): Required<Authenticator> {
  const verdict = async (attempt: LoginAttempt, ask: Promise<AuthResponse>): Promise<Verdict> =>
    verdictFrom(attempt, await refusalOrValue(ask, reading))
  return {
    checkPassword: (attempt, call) =>
      verdict(attempt, caller.checkUserAndPass({ ...commonOf(attempt), password: attempt.password }, call)),
    checkPublicKey: (attempt, call) =>
      verdict(
        attempt,
        caller.checkUserAndPublicKey({ ...commonOf(attempt), pubKey: withNewline(attempt.publicKey) }, call),
      ),
    checkCertificate: (attempt, call) =>
      verdict(
        attempt,
        caller.checkUserAndTLSCert({ ...commonOf(attempt), tlsCert: attempt.certificate }, call),
      ),
    beginDialogue: (attempt, call) =>
      verdict(attempt, caller.checkUserAndKeyboardInteractive(commonOf(attempt), call)),
    async continueDialogue(step, call) {
      const { dialogueId, address, username, password } = step
      const request = {
        ...{ requestID: dialogueId, ip: address, username, password, step: step.step },
        ...{ answers: [...step.answers], questions: [...step.questions] },
      }
      const answer = await refusalOrValue(caller.sendKeyboardAuthRequest(request, call), reading)
      return answer.refusal === undefined
        ? dialogueReplyFrom(answer.value)
        : { next: 'refuse', ...answer.refusal }
    },
  }
}

/** The service that an author's authenticator makes. */
export function answerAsAuthenticator(api: Authenticator): Handlers<AuthDefinition> {
  return {
    async checkUserAndPass(request, call) {
      if (api.checkPassword === undefined) throw missing('checkPassword')
      return responseOf(
        request,
        await api.checkPassword({ ...attemptFrom(request), password: request.password }, call),
      )
    },
    async checkUserAndPublicKey(request, call) {
      if (api.checkPublicKey === undefined) throw missing('checkPublicKey')
      const publicKey = request.pubKey.trimEnd()
      return responseOf(request, await api.checkPublicKey({ ...attemptFrom(request), publicKey }, call))
    },
    async checkUserAndTLSCert(request, call) {
      if (api.checkCertificate === undefined) throw missing('checkCertificate')
      const certificate = request.tlsCert
      return responseOf(request, await api.checkCertificate({ ...attemptFrom(request), certificate }, call))
    },
    async checkUserAndKeyboardInteractive(request, call) {
      // A plugin that only answers dialogues takes the stored user as it is.
      const verdict = await (api.beginDialogue?.(attemptFrom(request), call) ?? withoutBeginning(api))
      return responseOf(request, verdict)
    },
    async sendKeyboardAuthRequest(request, call: ServerCall) {
      if (api.continueDialogue === undefined) throw missing('continueDialogue')
      const { requestID: dialogueId, ip: address, username, password, step, answers, questions } = request
      return dialogueReplyOf(
        await api.continueDialogue(
          { dialogueId, address, username, password, step, answers, questions },
          call,
        ),
      )
    },
  }
}

interface CommonRequest {
  readonly username: string
  readonly ip: string
  readonly protocol: string
  readonly user: Buffer
}

function commonOf({ username, address, protocol, user }: LoginAttempt): CommonRequest {
  return { username, ip: address, protocol, user: jsonBytes(user) }
}

function attemptFrom({ username, ip, protocol, user }: CommonRequest): LoginAttempt {
  return { username, address: ip, protocol, user: recordFrom(user, username) }
}

/** The stored user, or what stands for an unknown one where a host sends nothing. */
function recordFrom(user: Buffer, username: string): UserRecord {
  return user.length === 0 ? { id: 0, username } : parseJsonObject(user, userLimitBytes)
}

function verdictFrom(attempt: LoginAttempt, { value, refusal }: Answer<AuthResponse>): Verdict {
  if (refusal !== undefined) return { granted: false, ...refusal }
  const { user } = value
  // SFTPGo reads each of these as: the stored user is right as it is.
  const unchanged = user.length === 0 || user.equals(newline) || user.equals(carriageReturn)
  if (unchanged) return { granted: true }
  const granted = grantedUserFrom(parseJsonObject(user, userLimitBytes))
  if (granted.username !== attempt.username) {
    throw new PluginError('malformed-reply', `The answer about "${attempt.username}" is about another user`)
  }
  return { granted: true, user: granted }
}

function responseOf(request: CommonRequest, verdict: Verdict): AuthResponse {
  if (!verdict.granted) throw refusalError(verdict)
  return { user: verdict.user === undefined ? Buffer.alloc(0) : userBytesOf(verdict.user, request.username) }
}

async function withoutBeginning(api: Authenticator): Promise<Verdict> {
  if (api.continueDialogue === undefined) throw missing('beginDialogue')
  return { granted: true }
}

function withNewline(key: string): string {
  return key.endsWith('\n') ? key : `${key}\n`
}

/** A user with ten thousand keys and folders fits; an answer made to take our memory does not. */
const userLimitBytes = 1 << 20

const newline = Buffer.from('\n')
const carriageReturn = Buffer.from('\r\n')
