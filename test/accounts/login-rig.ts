import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { createAddressLists } from '../../src/accounts/address-lists.ts'
import { createAdmission, type ConfiguredFilter } from '../../src/accounts/admission.ts'
import type { ConfiguredAuthenticator } from '../../src/accounts/authenticators.ts'
import { createDatabaseUserStore } from '../../src/accounts/database-user-store.ts'
import { createDefender, defenderDefaults, noDefender, type Defender } from '../../src/accounts/defender.ts'
import type {
  AskClient,
  KeyProof,
  LoginAnswer,
  LoginAuthority,
  LoginConversation,
  OfferedKey,
} from '../../src/accounts/login-conversation.ts'
import type { CertificateLists, LoginEvent, LoginSettings } from '../../src/accounts/login-options.ts'
import { createLastLogins } from '../../src/accounts/last-logins.ts'
import { createLoginAuthority } from '../../src/accounts/login.ts'
import { createOneTimeCodes } from '../../src/accounts/one-time-codes.ts'
import { createPasswords, type Passwords } from '../../src/accounts/password.ts'
import type { Principal } from '../../src/accounts/principal.ts'
import { createStories, type Stories } from '../../src/accounts/story.ts'
import { createUsage, type Usage } from '../../src/accounts/usage.ts'
import type { User } from '../../src/accounts/user.ts'
import type { UserStore } from '../../src/accounts/user-store.ts'
import { writeStrings } from '../../src/accounts/wire-reader.ts'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { silentLogger, type LogFields, type Logger } from '../../src/base/log.ts'
import { silentMeter } from '../../src/base/meter.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import type { Authenticator } from '../../src/slots/auth/contract.ts'

/** A login authority over a database of its own, with everything that it tells. */
export interface LoginRig extends AsyncDisposable {
  readonly authority: LoginAuthority
  readonly store: UserStore
  readonly usage: Usage
  readonly database: Database
  readonly passwords: Passwords
  readonly stories: Stories
  readonly defender: Defender
  readonly events: LoginEvent[]
  readonly logged: { readonly message: string; readonly fields: LogFields }[]
  readonly clock: MovedClock
  /** Plugins, in order; may be changed at any time. */
  readonly plugins: ConfiguredAuthenticator[]
  readonly sessions: Map<string, number>
  certificates: CertificateLists
  /** Makes a user; `password` is clear. */
  addUser(fields: Partial<User> & { readonly username: string }, password?: string): Promise<User>
  begin(address?: string): LoginConversation
  /** One login on a connection of its own. */
  password(username: string, password: string, address?: string): Promise<LoginAnswer>
  dialogue(username: string, answers: readonly string[] | AskClient, address?: string): Promise<LoginAnswer>
  key(username: string, key: TestKey): Promise<LoginAnswer>
}

/** The machine's clock, pushed forward by hand. */
export interface MovedClock extends Clock {
  move(ms: number): void
}

/** What a rig is made of. */
export interface RigOptions {
  readonly settings?: Partial<LoginSettings>
  readonly filters?: readonly ConfiguredFilter[]
  readonly defender?: boolean
  readonly database?: Database
}

/** Opens a rig; wrong passwords are answered after 2 ms so that tests are quick. */
export async function openRig(options: RigOptions = {}): Promise<LoginRig> {
  const database = options.database ?? (await openDatabase({ durable: false }))
  const clock = movedClock()
  const usage = createUsage(database, () => clock.now())
  const store = createDatabaseUserStore({ database, usage, now: () => clock.now() })
  const passwords = createPasswords({ argon2: { memory: 256, iterations: 1, parallelism: 1 } })
  const stories = createStories({ clock })
  const logged: LoginRig['logged'] = []
  const log: Logger = { ...silentLogger, ...recorder(logged), with: () => log }
  const lists = createAddressLists(database, {}, () => clock.now())
  const defender =
    options.defender === true
      ? createDefender(
          { ...defenderDefaults, isSafe: (address) => lists.isIn('safe', address) },
          { database, clock, log },
        )
      : noDefender
  const events: LoginEvent[] = []
  const plugins: ConfiguredAuthenticator[] = []
  const sessions = new Map<string, number>()
  const admission = createAdmission({
    ...{ lists, defender, clock, log, meter: silentMeter, limiters: [], onlyAllowed: false },
    filters: () => options.filters ?? [],
  })
  const rig = {
    certificates: { authorities: new Set<string>(), revoked: new Set<string>() } as CertificateLists,
  }
  const lastLogins = createLastLogins(store, clock)
  const authority = createLoginAuthority({
    ...{ store, passwords, admission, stories, clock, log, meter: silentMeter },
    lastLogins,
    codes: createOneTimeCodes(database, clock),
    authenticators: () => plugins,
    secrets: plainSecrets,
    events: { recordLog: (event) => void events.push(event) },
    certificates: () => rig.certificates,
    sessionsOf: (username) => sessions.get(username) ?? 0,
    settings: {
      ...{ passwordAuthentication: true, keyboardInteractive: true, failedPasswordDelayMs: 2 },
      ...options.settings,
    },
  })
  let connections = 0
  const begin = (address = '192.0.2.7'): LoginConversation =>
    authority.begin({ connectionId: String(++connections), address, clientVersion: 'test' })
  const once = async (
    address: string | undefined,
    action: (conversation: LoginConversation) => Promise<LoginAnswer>,
  ): Promise<LoginAnswer> => {
    const conversation = begin(address)
    const answer = await action(conversation)
    conversation.end()
    return answer
  }
  return Object.assign(rig, {
    ...{
      authority,
      store,
      usage,
      database,
      passwords,
      stories,
      defender,
      events,
      logged,
      clock,
      plugins,
      sessions,
      begin,
    },
    async addUser(fields: Partial<User> & { readonly username: string }, password?: string) {
      const hash = password === undefined ? {} : { password: await passwords.hash(password) }
      return store.putUser(testUser({ ...hash, ...fields }))
    },
    password: (username: string, password: string, address?: string) =>
      once(address, (conversation) => conversation.password(username, password)),
    dialogue: (username: string, answers: readonly string[] | AskClient, address?: string) =>
      once(address, (conversation) =>
        conversation.keyboardInteractive(
          username,
          typeof answers === 'function' ? answers : scripted(answers),
        ),
      ),
    key: (username: string, key: TestKey) =>
      once(undefined, (conversation) => conversation.provedKey(username, key.offered, key.proof)),
    async [Symbol.asyncDispose]() {
      lastLogins.close()
      await passwords.close()
      await store.close()
      if (options.database === undefined) await database.close()
    },
  })
}

/** Forgets everything about accounts. */
export async function emptyDatabase(database: Database): Promise<void> {
  const tables = [
    'account_user',
    'account_group',
    'account_folder',
    'account_usage',
    'address_rule',
    'account_code',
  ]
  const all = [...tables, 'defender_host', 'defender_event']
  await database.writer.write(all.map((table) => ({ sql: `delete from ${table}` })))
}

/** Answers page after page from a list. */
export function scripted(answers: readonly string[], pages: string[][] = []): AskClient {
  const left = [...answers]
  return async ({ questions }) => {
    pages.push(questions.map(({ text }) => text))
    return questions.map(() => left.shift() ?? '')
  }
}

/** A complete, enabled user. */
export function testUser(fields: Partial<User> & { readonly username: string }): User {
  return {
    ...{ id: 0, status: 1, expiration_date: 0, home_dir: `/srv/${fields.username}`, uid: 0, gid: 0 },
    ...{ max_sessions: 0, quota_size: 0, quota_files: 0, used_quota_size: 0, used_quota_files: 0 },
    ...{ last_quota_update: 0, upload_bandwidth: 0, download_bandwidth: 0, last_login: 0 },
    ...{ created_at: 0, updated_at: 0, filters: {}, filesystem: { provider: 0 } },
    permissions: { '/': ['*'] },
    ...fields,
  }
}

/** A plugin entry around a plain authenticator. */
export function entry(
  name: string,
  authenticator: Authenticator,
  change: Partial<ConfiguredAuthenticator> = {},
): ConfiguredAuthenticator {
  return {
    ...{
      name,
      authenticator,
      scope: 7,
      whenDown: 'refuse',
      whenRefused: 'refuse',
      userDetail: 'default',
      persist: false,
    },
    ...change,
  }
}

/** An Ed25519 key that can log in. */
export interface TestKey {
  readonly line: string
  readonly offered: OfferedKey
  readonly proof: KeyProof
  readonly privateKey: KeyObject
}

/** Makes a key with a proof that its holder has it. */
export function testKey(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const blob = writeStrings(
    'ssh-ed25519',
    Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'),
  )
  const signedData = Buffer.from('session identifier and request')
  return {
    line: `ssh-ed25519 ${blob.toString('base64')}`,
    offered: { algorithm: 'ssh-ed25519', blob },
    proof: { signedData, signature: writeStrings('ssh-ed25519', sign(null, signedData, privateKey)) },
    privateKey,
  }
}

/** The principal of a granted login; fails loudly otherwise. */
export function principalOf(answer: LoginAnswer): Principal {
  if (answer.verdict !== 'granted') throw new Error(`Not granted: ${JSON.stringify(answer)}`)
  return answer.principal
}

const plainSecrets = {
  seal: async (payload: string) => ({
    status: 'Secretbox',
    payload: Buffer.from(payload).toString('base64'),
  }),
  open: async ({ payload = '' }: { readonly payload?: string }) => Buffer.from(payload, 'base64').toString(),
}

function movedClock(): MovedClock {
  let moved = 0
  return {
    ...systemClock,
    now: () => Date.now() + moved,
    move(ms) {
      moved += ms
    },
  }
}

function recorder(
  into: { message: string; fields: LogFields }[],
): Pick<Logger, 'debug' | 'info' | 'warn' | 'error'> {
  const write = (message: string, fields: LogFields = {}): void => void into.push({ message, fields })
  return { debug: write, info: write, warn: write, error: write }
}
