import { messageOf } from '../base/errors.ts'
import type { AnswerCache } from './answer-cache.ts'
import { completeUser, surroundingsOf } from './complete-user.ts'
import { hasSecondFactor, loginProblem, nextMethods } from './conditions.ts'
import { plainAddress } from './ip-set.ts'
import type {
  AskClient,
  KeyProof,
  LoginAnswer,
  LoginConnection,
  LoginConversation,
  OfferedKey,
} from './login-conversation.ts'
import type { LoginOptions } from './login-options.ts'
import type { Principal } from './principal.ts'
import { note, type Attempt, type Proof, type Refused } from './proof.ts'
import { proveDialogue, type FirstPages } from './prove-dialogue.ts'
import { proveKey, type KeyMemory } from './prove-key.ts'
import { provePassword } from './prove-password.ts'
import { keepUser, renewHash } from './keep-login.ts'
import type { ProvenKeys } from './proven-keys.ts'
import type { RefusalClock } from './refusal-clock.ts'
import type { StoryWriter } from './story.ts'
import type { User } from './user.ts'
import { nameMeant, nameProblem, namingRules } from './username.ts'

/** What the logins of all connections have in common. */
export interface LoginsInCommon {
  readonly options: LoginOptions
  readonly cache: AnswerCache
  readonly refusals: RefusalClock
  readonly firstPages: FirstPages
  readonly provenKeys: ProvenKeys
}

/** What first pages of dialogues are called where refusals have their method. */
export const firstPage = 'first page'

/** Of a name in stories and events: SFTPGo's longest. */
const mostNameLength = 255

type Method = 'password' | 'publickey' | 'keyboard-interactive'

interface KeyStep {
  readonly username: string
  readonly keyFingerprint: string
  readonly methods: readonly Method[]
}

type Decision = LoginAnswer | { readonly verdict: 'would-do' }

/** The login of one connection. Lives as long as the connection tries; holds what was proved so far. */
export class OneLogin implements LoginConversation {
  readonly #shared: LoginsInCommon
  readonly #connection: LoginConnection
  readonly #address: string
  readonly #story: StoryWriter
  readonly #gone = new AbortController()
  readonly #keys: KeyMemory
  /** The first step of a login in two, once it is done. */
  #keyStep: KeyStep | undefined
  #keyFailure: { readonly username: string; readonly refusal: Refused } | undefined
  #tried = false
  #over = false

  constructor(shared: LoginsInCommon, connection: LoginConnection) {
    this.#shared = shared
    this.#connection = connection
    this.#keys = { proven: shared.provenKeys, last: undefined, parsed: undefined }
    this.#address = plainAddress(connection.address)
    this.#story = shared.options.stories.begin({
      connectionId: connection.connectionId,
      address: this.#address,
      clientVersion: connection.clientVersion,
      checks: connection.admission?.checks ?? [],
    })
  }

  async none(username: string): Promise<LoginAnswer> {
    this.#enter(username)
    return this.#refusal()
  }

  async password(username: string, password: string): Promise<LoginAnswer> {
    return onlyAnswer(await this.#decide(username, 'password', (attempt) => provePassword(attempt, password)))
  }

  queryKey(username: string, key: OfferedKey): Promise<Decision> {
    return this.#decide(
      username,
      'publickey',
      (attempt) => proveKey(attempt, key, undefined, this.#keys),
      true,
    )
  }

  async provedKey(username: string, key: OfferedKey, proof: KeyProof): Promise<LoginAnswer> {
    return onlyAnswer(
      await this.#decide(username, 'publickey', (attempt) => proveKey(attempt, key, proof, this.#keys)),
    )
  }

  async keyboardInteractive(username: string, ask: AskClient): Promise<LoginAnswer> {
    const began = this.#shared.options.clock.monotonic()
    let asked = began
    const timed: AskClient = async (page) => {
      const answers = await ask(page)
      // How long people take to type says nothing and must not move the time of the answer.
      asked = this.#shared.options.clock.monotonic()
      return answers
    }
    const { firstPages, refusals } = this.#shared
    const untilFirstPage = (): Promise<void> => refusals.hold(firstPage, began, this.#gone.signal, true)
    return onlyAnswer(
      await this.#decide(
        username,
        'keyboard-interactive',
        (attempt) =>
          proveDialogue(attempt, {
            ...{ ask: timed, afterKey: this.#keyStep !== undefined, firstPages, untilFirstPage },
          }),
        false,
        () => asked,
      ),
    )
  }

  end(): void {
    if (this.#over) return
    this.#over = true
    this.#gone.abort()
    const { log } = this.#shared.options
    // That nobody tried is told by `ssh`, which also knows of those who never got this far.
    if (!this.#tried) this.#shared.options.admission.offend(this.#address, 'no-auth')
    else if (this.#keyFailure !== undefined) {
      const { username, refusal } = this.#keyFailure
      this.#blame(username, refusal)
    }
    // What a stranger's client calls itself stays in memory: only address, name and credential go further.
    const { clientVersion: _said, ...story } = this.#story.end(this.#tried ? 'refused' : 'left')
    if (this.#tried) log.info('login refused', story)
    else log.debug('connection left without login', story)
  }

  /** Decides one request: who is meant, is it proved, and may they come in now. */
  async #decide(
    typed: string,
    method: Method,
    prove: (attempt: Attempt) => Promise<Proof>,
    queryOnly = false,
    askedAt?: () => number,
  ): Promise<Decision> {
    const { options, refusals } = this.#shared
    const since = options.clock.monotonic()
    const username = this.#enter(typed)
    this.#tried = true
    const closed = this.#closedReason(method)
    if (closed !== undefined) {
      note({ story: this.#story, method }, since, 'address', 'refused', closed)
      return this.#refusal(options.admission.isBanned(this.#address))
    }
    let refusal: Refused
    try {
      const result = await this.#judge(this.#attempt(username, method), prove, queryOnly)
      if (!('proved' in result)) return result
      refusal = result
    } catch (error) {
      options.log.error('login could not be decided', { id: this.#story.id, error: messageOf(error) })
      refusal = {
        proved: false,
        by: 'server',
        reason: 'The login could not be decided',
        counts: false,
        broken: true,
      }
    }
    const banned = this.#refused(typed, method, refusal, queryOnly)
    await refusals.hold(method, askedAt?.() ?? since, this.#gone.signal, refusal.broken !== true)
    return this.#refusal(banned)
  }

  async #judge(
    attempt: Attempt,
    prove: (attempt: Attempt) => Promise<Proof>,
    queryOnly: boolean,
  ): Promise<Decision | Refused> {
    const { options } = this.#shared
    const proof = await prove(attempt)
    if (!proof.proved) return proof
    const since = options.clock.monotonic()
    const completed = completeUser(proof.user, surroundingsOf(options.store), options.settings)
    const problem =
      'problem' in completed ? completed.problem : this.#conditionProblem(completed.user, attempt.method)
    if (problem !== undefined || 'problem' in completed) {
      note(attempt, since, 'conditions', 'refused', problem)
      return { proved: false, by: 'conditions', reason: problem ?? 'The user is not complete', counts: true }
    }
    if (queryOnly) return { verdict: 'would-do' }
    note(attempt, since, 'conditions', 'ok')
    const next = attempt.method === 'publickey' ? nextMethods(completed.user) : []
    if (next.length > 0) {
      this.#keyStep = {
        username: attempt.username,
        keyFingerprint: proof.keyFingerprint ?? '',
        methods: next,
      }
      return { verdict: 'partial', methods: next }
    }
    return this.#grant(attempt, proof, completed.user)
  }

  async #grant(attempt: Attempt, proof: Proof & { proved: true }, complete: User): Promise<LoginAnswer> {
    const { options, cache } = this.#shared
    const { username } = attempt
    const user = await keepUser(options, proof, complete)
    const cacheMs = (complete.filters.external_auth_cache_time ?? 0) * 1000
    if (proof.remember !== undefined) cache.granted(username, proof.remember, proof.user, cacheMs)
    if (proof.outdated !== undefined) renewHash(options, username, proof.outdated)
    options.lastLogins.note(username, options.clock.now())
    const delayMs = options.settings.successDelayMs ?? 0
    if (delayMs > 0) await new Promise<void>((resolve) => void options.clock.after(delayMs, resolve))
    const method = this.#methodName(attempt.method)
    const fingerprint = proof.keyFingerprint ?? this.#keyStep?.keyFingerprint
    const principal: Principal = {
      ...{ user, method, address: this.#address, connectionId: this.#connection.connectionId },
      ...(fingerprint !== undefined && { keyFingerprint: fingerprint }),
      ...(this.#connection.admission?.unchecked === true && { unchecked: true }),
    }
    if (this.#over) return this.#refusal()
    this.#over = true
    options.granted?.(user, attempt.stored !== undefined || proof.persist === true)
    this.#tell(5, username, '')
    options.meter.add('sftpgo_logins_total', 1, { method, verdict: 'granted' })
    const story = this.#story.end('granted', method)
    options.meter.observe('sftpgo_login_seconds', story.elapsedMs / 1000, { method })
    options.log.info('login granted', { ...story, decidedBy: proof.by, unchecked: principal.unchecked })
    return { verdict: 'granted', principal }
  }

  #attempt(username: string, method: Method): Attempt {
    const { options, cache } = this.#shared
    // A name that cannot be an account is treated like one that nobody has, and reaches neither store nor plugin.
    const possible = nameProblem(username) === undefined
    const stored = possible ? options.store.findUser(username) : undefined
    const completed =
      stored === undefined ? undefined : completeUser(stored, surroundingsOf(options.store), options.settings)
    const user = completed !== undefined && 'user' in completed ? completed.user : undefined
    const exempt = user?.filters.hooks?.external_auth_disabled === true
    const plugins = possible && !exempt ? options.authenticators() : []
    // People may take the whole login grace time for a dialogue; each call to its plugin is bounded by the host.
    const bounded = plugins.length > 0 && method !== 'keyboard-interactive'
    const limit = (): AbortSignal => AbortSignal.timeout(options.settings.pluginTimeoutMs ?? 30_000)
    return {
      ...{ options, cache, username, method, stored, completed: user },
      story: this.#story,
      address: this.#address,
      plugins,
      signal: bounded ? AbortSignal.any([this.#gone.signal, limit()]) : this.#gone.signal,
    }
  }

  #conditionProblem(user: User, method: Method): string | undefined {
    const { clock, sessionsOf, settings } = this.#shared.options
    const next = method === 'publickey' ? nextMethods(user)[0] : undefined
    const name = next === undefined ? this.#methodName(method) : `publickey+${next}`
    if (this.#keyStep !== undefined && !this.#keyStep.methods.includes(method) && method !== 'publickey')
      return `The method "${method}" does not complete this login`
    // A password alone would go round the code; behind a proved key it is a second factor itself.
    if (name === 'password' && hasSecondFactor(user))
      return 'The second factor is asked for in a keyboard dialogue only'
    // The first of two steps is judged like a key: the second step is judged as what it is.
    return loginProblem(user, {
      ...{ now: clock.now(), address: this.#address, protocol: 'SSH', method: name },
      sessions: sessionsOf(user.username),
      localTime: settings.localTime === true,
    })
  }

  /** SFTPGo's name of the method, the first step included. */
  #methodName(method: Method): string {
    return this.#keyStep === undefined || method === 'publickey' ? method : `publickey+${method}`
  }

  /** Somebody says a name; the one that is meant by it. */
  #enter(typed: string): string {
    const username = nameMeant(typed, this.#shared.options.settings.namingRules ?? namingRules.anyCharacters)
    this.#story.named(typed.slice(0, mostNameLength))
    // What one name proved is worth nothing for another (S-19).
    if (this.#keyStep !== undefined && this.#keyStep.username !== username) this.#keyStep = undefined
    return username
  }

  #closedReason(method: Method): string | undefined {
    const { admission, settings } = this.#shared.options
    if (this.#over) return 'The login is over'
    if (admission.isBanned(this.#address)) return 'The address is banned'
    if (method === 'password' && !settings.passwordAuthentication) return 'Passwords are not accepted'
    if (method === 'keyboard-interactive' && !settings.keyboardInteractive)
      return 'Keyboard dialogues are not accepted'
    return undefined
  }

  /** Counts and tells a refusal; true when the address got banned for it. */
  #refused(username: string, method: Method, refusal: Refused, queryOnly: boolean): boolean {
    const { options } = this.#shared
    note({ story: this.#story, method }, options.clock.monotonic(), 'verdict', 'refused', refusal.reason)
    if (!queryOnly) options.meter.add('sftpgo_logins_total', 1, { method, verdict: 'refused' })
    // Clients offer every key they have: those that fail are told once, and only when nobody got in.
    if (method === 'publickey') {
      this.#keyFailure = { username, refusal }
      return false
    }
    return this.#blame(username, refusal)
  }

  #blame(username: string, refusal: Refused): boolean {
    const unknown = refusal.unknown === true
    this.#tell(unknown ? 2 : 1, username, refusal.reason)
    if (!refusal.counts) return false
    return this.#shared.options.admission.offend(this.#address, unknown ? 'invalid' : 'valid')
  }

  #tell(event: 1 | 2 | 5, username: string, message: string): void {
    const { events } = this.#shared.options
    // Longer names are nobody's, and notifiers that keep names in columns would refuse the event for ever.
    const name = username.slice(0, mostNameLength)
    events.recordLog({ kind: 'log', event, username: name, protocol: 'SSH', address: this.#address, message })
  }

  #refusal(final = false): LoginAnswer {
    return {
      verdict: 'refused',
      methods: this.#methods(),
      reference: this.#story.id,
      final: final || this.#over,
    }
  }

  /** The same for every name, so that nobody is told by it; except after a proved key, where it says what is missing. */
  #methods(): readonly string[] {
    if (this.#keyStep !== undefined) return this.#keyStep.methods
    const { passwordAuthentication, keyboardInteractive } = this.#shared.options.settings
    return [
      'publickey',
      ...(passwordAuthentication ? ['password'] : []),
      ...(keyboardInteractive ? ['keyboard-interactive'] : []),
    ]
  }
}

function onlyAnswer(decision: Decision): LoginAnswer {
  if (decision.verdict === 'would-do') throw new Error('Only a query is answered with "would do"')
  return decision
}
