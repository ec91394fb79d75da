import type {
  KeyProof,
  LoginAnswer,
  LoginConversation,
  OfferedKey,
  QuestionPage,
} from '../accounts/login-conversation.ts'
import type { Principal } from '../accounts/principal.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { Transport } from './library.ts'
import { disconnectReason, message, type DisconnectReason } from './messages.ts'
import { buildMessage, Fields, ProtocolError, sshString } from './wire.ts'

/** What the login of one connection needs. */
export interface LoginContext {
  readonly transport: Transport
  readonly conversation: LoginConversation
  readonly settings: LoginSettings
  readonly log: Logger
  readonly meter: Meter
  granted(principal: Principal): void
  /** Ends the connection with a word to the client. */
  end(reason: DisconnectReason, text: string): void
}

/** Bounds and texts of logins. */
export interface LoginSettings {
  /** Refused attempts per connection, whatever the method, refused key queries among them. */
  readonly mostAttempts: number
  /** Shown before the login. */
  readonly banner?: string
  readonly publicKeyAlgorithms: readonly string[]
  readonly passwordAllowed: boolean
  readonly keyboardInteractiveAllowed: boolean
}

/** Bytes: longer names, keys and answers are no client's. */
const mostNameBytes = 1024
const mostKeyBytes = 16 * 1024
const mostAnswerBytes = 4096
const mostRounds = 10

const methodNames: readonly string[] = ['none', 'publickey', 'password', 'keyboard-interactive']

type State =
  | { readonly at: 'service' }
  | { readonly at: 'waiting' }
  | { readonly at: 'deciding' }
  | { readonly at: 'asking'; readonly questions: number; readonly answer: (given: Given) => void }
  | { readonly at: 'done' }

type Given = readonly string[] | undefined

/** One authentication request, parsed up to what its method adds. */
interface Request {
  readonly username: string
  readonly method: string
  /** The rest of the message. */
  readonly fields: Fields
  readonly key?: KeyRequest
}

/** What a `publickey` request says. */
interface KeyRequest {
  readonly offered: OfferedKey
  /** Absent: only asks whether the key would do. */
  readonly proof?: KeyProof
}

type Decision = LoginAnswer | { readonly verdict: 'would-do' }

/** The authentication protocol of one connection (RFC 4252, RFC 4256): one request at a time, each counted. */
export class Login {
  readonly #context: LoginContext
  #state: State = { at: 'service' }
  #username: string | undefined
  #refusals = 0
  #queries = 0
  /** A request that came in while questions were open: it takes the place of theirs. */
  #next: Request | undefined
  #askedForMethods = false
  #keyReferenceShown = false
  #lastMethods: readonly string[] = ['publickey', 'password', 'keyboard-interactive']

  constructor(context: LoginContext) {
    this.#context = context
  }

  /** Whether anything but the address was tried. */
  get tried(): boolean {
    return this.#username !== undefined
  }

  /** One message with number 5 or 50 to 79. False when it is none that a server knows. */
  handle(payload: Buffer): boolean {
    switch (payload[0] ?? 0) {
      case message.serviceRequest:
        this.#service(new Fields(payload).name())
        return true
      case message.userauthRequest:
        this.#request(payload)
        return true
      case message.userauthInfoResponse:
        this.#answers(payload)
        return true
      default:
        return false
    }
  }

  /** The connection is over, or the login is. */
  close(): void {
    const state = this.#state
    this.#state = { at: 'done' }
    this.#next = undefined
    if (state.at === 'asking') state.answer(undefined)
  }

  #service(name: string): void {
    if (this.#state.at !== 'service' || name !== 'ssh-userauth')
      return this.#context.end(disconnectReason.serviceNotAvailable, 'Service not available')
    this.#state = { at: 'waiting' }
    this.#send(buildMessage(message.serviceAccept, name))
    const { banner } = this.#context.settings
    if (banner !== undefined && banner !== '') this.#banner(banner)
  }

  #request(payload: Buffer): void {
    const request = this.#parse(payload)
    if (request === undefined) return
    switch (this.#state.at) {
      case 'service':
      case 'done':
        throw new ProtocolError('An authentication request out of turn')
      case 'deciding':
        // What it would mean is unclear, and where answers may overtake each other servers were tricked.
        throw new ProtocolError('A second authentication request before the first was answered')
      case 'asking': {
        // RFC 4252 section 5.1: it silently takes the place of the one that asks.
        if (this.#next !== undefined) throw new ProtocolError('A third authentication request')
        this.#next = request
        const { answer } = this.#state
        this.#state = { at: 'deciding' }
        answer(undefined)
        return
      }
      case 'waiting':
        this.#begin(request)
    }
  }

  #parse(payload: Buffer): Request | undefined {
    const fields = new Fields(payload)
    const username = fields.text()
    const service = fields.name()
    const method = fields.name()
    if (service !== 'ssh-connection') {
      this.#context.end(disconnectReason.serviceNotAvailable, 'Service not available')
      return undefined
    }
    if (username === undefined || username.length > mostNameBytes || username.includes('\0'))
      throw new ProtocolError('A user name that is none')
    if (this.#username !== undefined && this.#username !== username) {
      // As OpenSSH: who changes the name in the middle starts again from the beginning.
      this.#context.end(disconnectReason.protocolError, 'Change of user name not allowed')
      return undefined
    }
    return method === 'publickey'
      ? { username, method, fields, key: this.#parseKey(fields, payload) }
      : { username, method, fields }
  }

  #begin(request: Request): void {
    this.#username = request.username
    this.#state = { at: 'deciding' }
    const asked = this.#ask(request)
    if (asked === undefined) {
      this.#tally(request, 'unasked')
      return this.#refuse(request, undefined, undefined)
    }
    asked.then(
      (answer) => this.#decided(request, answer),
      (error: unknown) => this.#failed(request, error),
    )
  }

  /** Puts the request to those who decide. Undefined: refused without asking anybody. */
  #ask({ username, method, fields, key }: Request): Promise<Decision> | undefined {
    const { conversation, settings } = this.#context
    switch (method) {
      case 'none':
        return conversation.none(username)
      case 'password': {
        const change = fields.boolean()
        const password = fields.text()
        if (change || password === undefined || !settings.passwordAllowed) return undefined
        return conversation.password(username, password)
      }
      case 'keyboard-interactive':
        if (!settings.keyboardInteractiveAllowed) return undefined
        return conversation.keyboardInteractive(username, this.#asker())
      case 'publickey':
        if (key === undefined || !settings.publicKeyAlgorithms.includes(key.offered.algorithm))
          return undefined
        if (key.offered.blob.length > mostKeyBytes) return undefined
        return key.proof === undefined
          ? conversation.queryKey(username, key.offered)
          : conversation.provedKey(username, key.offered, key.proof)
      default:
        return undefined
    }
  }

  #parseKey(fields: Fields, payload: Buffer): KeyRequest {
    const signed = fields.boolean()
    const algorithm = fields.name()
    // Copies: the message's memory is the socket's, and those who decide take their time.
    const offered = { algorithm, blob: Buffer.from(fields.bytes()) }
    if (!signed) return { offered }
    // RFC 4252 section 7: the session's identifier and the request up to the signature.
    const upToHere = payload.subarray(0, fields.position)
    const signedData = Buffer.concat([sshString(this.#context.transport.sessionId), upToHere])
    return { offered, proof: { signedData, signature: Buffer.from(fields.bytes()) } }
  }

  #asker(): (page: QuestionPage) => Promise<Given> {
    let rounds = 0
    return (page) => {
      rounds += 1
      if (this.#state.at !== 'deciding' || this.#next !== undefined || rounds > mostRounds)
        return Promise.resolve(undefined)
      const { promise, resolve } = promiseOf<Given>()
      this.#state = { at: 'asking', questions: page.questions.length, answer: resolve }
      this.#send(
        buildMessage(
          message.userauthInfoRequest,
          page.name,
          page.instructions,
          '',
          page.questions.length,
          ...page.questions.flatMap((question) => [question.text, question.echo]),
        ),
      )
      return promise
    }
  }

  #answers(payload: Buffer): void {
    const state = this.#state
    if (state.at !== 'asking') throw new ProtocolError('Answers to no question')
    this.#state = { at: 'deciding' }
    const fields = new Fields(payload)
    const count = fields.uint32()
    if (count !== state.questions) {
      this.#context.log.info('answers refused', { questions: state.questions, answers: count })
      return state.answer(undefined)
    }
    const answers: string[] = []
    for (let index = 0; index < count; index += 1) {
      const bytes = fields.bytes()
      const text = new Fields(sshString(bytes), 0).text()
      if (text === undefined || bytes.length > mostAnswerBytes) return state.answer(undefined)
      answers.push(text)
    }
    state.answer(answers)
  }

  #decided(request: Request, answer: Decision): void {
    if (this.#state.at === 'done') return
    const next = this.#next
    if (next !== undefined) {
      // Nobody waits for this answer; a grant that came too late is none.
      this.#next = undefined
      this.#tally(request, 'replaced')
      this.#refusals += 1
      if (this.#refusals >= this.#context.settings.mostAttempts) return this.#tooMany()
      return this.#guarded(() => this.#begin(next))
    }
    this.#tally(request, answer.verdict)
    switch (answer.verdict) {
      case 'granted':
        this.#state = { at: 'done' }
        this.#send(buildMessage(message.userauthSuccess))
        return this.#context.granted(answer.principal)
      case 'would-do':
        return this.#wouldDo(request)
      case 'partial':
        this.#state = { at: 'waiting' }
        return this.#send(
          buildMessage(message.userauthFailure, this.#methods(answer.methods).join(','), true),
        )
      case 'refused':
        if (answer.final) {
          this.#showReference(answer.reference)
          return this.#context.end(disconnectReason.noMoreAuthMethods, `Login refused (${answer.reference})`)
        }
        return this.#refuse(request, answer.methods, answer.reference)
    }
  }

  #wouldDo({ key }: Request): void {
    this.#queries += 1
    if (key === undefined || this.#queries > this.#context.settings.mostAttempts) return this.#tooMany()
    this.#state = { at: 'waiting' }
    this.#send(buildMessage(message.userauthPkOk, key.offered.algorithm, key.offered.blob))
  }

  #refuse(request: Request, methods: readonly string[] | undefined, reference: string | undefined): void {
    // The first "none" is a question for the methods, not an attempt.
    if (request.method !== 'none' || this.#askedForMethods) this.#refusals += 1
    if (request.method === 'none') this.#askedForMethods = true
    if (reference !== undefined) this.#tellReference(request, reference)
    if (this.#refusals >= this.#context.settings.mostAttempts) return this.#tooMany()
    this.#state = { at: 'waiting' }
    this.#send(buildMessage(message.userauthFailure, this.#methods(methods).join(','), false))
  }

  #tooMany(): void {
    this.#context.log.info('too many authentication failures', { username: this.#username })
    this.#context.end(disconnectReason.protocolError, 'Too many authentication failures')
  }

  #failed(request: Request, error: unknown): void {
    if (this.#state.at === 'done') return
    this.#context.log.error('login could not be decided', { error: messageOf(error) })
    this.#tally(request, 'failed')
    // Whatever went wrong, nobody is let in.
    this.#refuse(request, undefined, undefined)
  }

  /** A client chooses the name of its method: what is none is counted as `other`. */
  #tally({ method }: Request, answer: Decision['verdict'] | 'unasked' | 'replaced' | 'failed'): void {
    const known = methodNames.includes(method) ? method : 'other'
    this.#context.meter.add('sftpgo_auth_requests_total', 1, { method: known, answer })
  }

  /** Lets what a client's own bytes break end its connection, also when that happens after a wait. */
  #guarded(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#context.end(disconnectReason.protocolError, error instanceof ProtocolError ? error.message : '')
    }
  }

  /** The methods that may go on; where nobody was asked, those of the answer before. */
  #methods(given: readonly string[] | undefined): readonly string[] {
    const { settings } = this.#context
    this.#lastMethods = given ?? this.#lastMethods
    return this.#lastMethods.filter(
      (method) =>
        (method !== 'password' || settings.passwordAllowed) &&
        (method !== 'keyboard-interactive' || settings.keyboardInteractiveAllowed),
    )
  }

  /** Keys are offered one after another: the first that is refused names the story, the others are in it too. */
  #tellReference({ method, key }: Request, reference: string): void {
    if (method === 'none') return
    if (key === undefined || key.proof !== undefined) return this.#showReference(reference)
    if (this.#keyReferenceShown) return
    this.#keyReferenceShown = true
    this.#banner(`Key refused (reference ${reference})`)
  }

  #showReference(reference: string): void {
    this.#banner(`Login refused (reference ${reference})`)
  }

  #banner(text: string): void {
    this.#send(buildMessage(message.userauthBanner, text.endsWith('\n') ? text : `${text}\r\n`, ''))
  }

  #send(payload: Buffer): void {
    this.#context.transport.send(payload)
  }
}

function promiseOf<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
