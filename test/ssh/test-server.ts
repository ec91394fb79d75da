import type {
  AskClient,
  KeyProof,
  LoginAnswer,
  LoginAuthority,
  LoginConversation,
  OfferedKey,
} from '../../src/accounts/login-conversation.ts'
import type { Principal } from '../../src/accounts/principal.ts'
import type { LogEvent } from '../../src/events/event.ts'
import type { LogFields, Logger } from '../../src/base/log.ts'
import type { SessionEnd, SftpSession } from '../../src/sftp/session.ts'
import type { ByteStream } from '../../src/sftp/byte-stream.ts'
import { startSshServer, type SshServer, type SshServerOptions } from '../../src/ssh/ssh-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

/** What an authority was asked, in order. */
export type Asked =
  | { readonly what: 'admit' | 'exceeded'; readonly address: string }
  | { readonly what: 'none' | 'password' | 'query' | 'proof' | 'keyboard'; readonly username: string }
  | { readonly what: 'end' }

/** A server with accounts of one: "ada" with the password "engine", any key of hers, and an echo for SFTP. */
export interface TestServer extends AsyncDisposable {
  readonly server: SshServer
  readonly port: number
  readonly asked: Asked[]
  readonly sessions: EchoSession[]
  readonly logged: LoggedLine[]
  readonly events: LogEvent[]
  readonly proofs: { readonly key: OfferedKey; readonly proof: KeyProof }[]
}

/** A line of the log. */
export interface LoggedLine {
  readonly level: string
  readonly message: string
  readonly fields: LogFields
}

/** What a test may change. */
export interface TestServerOptions extends Partial<SshServerOptions> {
  readonly conversation?: Partial<LoginConversation>
  readonly maxSessions?: number
  /** Serves in the place of the echo. */
  readonly echo?: Partial<EchoSettings>
}

interface EchoSettings {
  /** Keeps what it received until this says so. */
  readonly hold: () => boolean
}

/** Starts a server on a free port of the loopback interface. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const folder = temporaryDirectory()
  const asked: Asked[] = []
  const logged: LoggedLine[] = []
  const events: LogEvent[] = []
  const sessions: EchoSession[] = []
  const proofs: { key: OfferedKey; proof: KeyProof }[] = []
  const { conversation, maxSessions = 0, echo, ...rest } = options
  const authority: LoginAuthority = {
    async admit(address) {
      asked.push({ what: 'admit', address })
      return { admitted: true, checks: [] }
    },
    exceeded: (address) => void asked.push({ what: 'exceeded', address }),
    begin: ({ address, connectionId }) => {
      const own = conversationOf(asked, proofs, (username) =>
        principalOf(username, address, connectionId, maxSessions),
      )
      return { ...own, ...conversation }
    },
  }
  const server = await startSshServer({
    bindings: [{ address: '127.0.0.1', port: 0 }],
    hostKeys: { files: ['id_ed25519'], folder: folder.path },
    algorithms: {},
    authority,
    maxPerAddress: 0,
    serve: (stream) => {
      const session = new EchoSession(stream, { hold: () => false, ...echo })
      sessions.push(session)
      return session
    },
    log: recordingLogger(logged, {}),
    events: { recordLog: (event) => void events.push(event) },
    ...rest,
  })
  return {
    server,
    port: server.addresses[0]?.port ?? 0,
    asked,
    sessions,
    logged,
    events,
    proofs,
    async [Symbol.asyncDispose]() {
      await server.close()
      folder[Symbol.dispose]()
    },
  }
}

/** The answer to whoever is not let in. */
export const refused: LoginAnswer = {
  verdict: 'refused',
  methods: ['publickey', 'password', 'keyboard-interactive'],
  reference: 'abcd1234',
  final: false,
}

/** A principal with nothing in it but a name. */
export function principalOf(
  username: string,
  address = '127.0.0.1',
  connectionId = '00',
  maxSessions = 0,
): Principal {
  return {
    user: {
      id: 1,
      status: 1,
      username,
      expiration_date: 0,
      home_dir: '/nowhere',
      uid: 0,
      gid: 0,
      max_sessions: maxSessions,
      quota_size: 0,
      quota_files: 0,
      used_quota_size: 0,
      used_quota_files: 0,
      last_quota_update: 0,
      permissions: { '/': ['*'] },
      upload_bandwidth: 0,
      download_bandwidth: 0,
      last_login: 0,
      created_at: 0,
      updated_at: 0,
      filters: {},
      filesystem: { provider: 0 },
    },
    method: 'password',
    address,
    connectionId,
  }
}

function conversationOf(
  asked: Asked[],
  proofs: { key: OfferedKey; proof: KeyProof }[],
  grant: (username: string) => Principal,
): LoginConversation {
  const granted = (username: string): LoginAnswer => ({ verdict: 'granted', principal: grant(username) })
  return {
    async none(username) {
      asked.push({ what: 'none', username })
      return refused
    },
    async password(username, password) {
      asked.push({ what: 'password', username })
      return password === 'engine' ? granted(username) : refused
    },
    async queryKey(username) {
      asked.push({ what: 'query', username })
      return { verdict: 'would-do' }
    },
    async provedKey(username, key, proof) {
      asked.push({ what: 'proof', username })
      proofs.push({ key, proof })
      return granted(username)
    },
    async keyboardInteractive(username, ask: AskClient) {
      asked.push({ what: 'keyboard', username })
      const answers = await ask({
        name: '',
        instructions: '',
        questions: [{ text: 'Engine? ', echo: false }],
      })
      return answers?.[0] === 'engine' ? granted(username) : refused
    },
    end() {
      asked.push({ what: 'end' })
    },
  }
}

/** Sends back what it receives, as its stream has room. */
export class EchoSession implements SftpSession {
  readonly ended: Promise<SessionEnd>
  readonly stream: ByteStream
  requests = 0
  received = 0
  #waiting: Buffer[] = []
  #over = false
  #end: (how: SessionEnd) => void = () => {}
  readonly #settings: EchoSettings

  constructor(stream: ByteStream, settings: EchoSettings) {
    this.stream = stream
    this.#settings = settings
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    stream.start({
      data: (bytes) => {
        this.requests += 1
        this.received += bytes.length
        this.#waiting.push(bytes)
        this.pump()
      },
      room: () => this.pump(),
      ended: () => {
        this.#over = true
        this.pump()
      },
      closed: () => this.#end('stream-closed'),
    })
  }

  readonly transfers = 0
  get outstanding(): number {
    return this.#waiting.length
  }

  /** Bytes received and not sent back. */
  get heldBytes(): number {
    return this.#waiting.reduce((sum, bytes) => sum + bytes.length, 0)
  }

  pump(): void {
    if (this.#settings.hold()) return
    for (let bytes = this.#waiting.shift(); bytes !== undefined; bytes = this.#waiting.shift()) {
      const more = this.stream.send(bytes)
      this.stream.consumed(bytes.length)
      if (!more) return
    }
    if (this.#over) this.stream.end(0)
  }

  close(exitStatus = 1): void {
    this.stream.end(exitStatus)
    this.#end('closed-by-us')
  }
}

function recordingLogger(lines: LoggedLine[], own: LogFields): Logger {
  const write =
    (level: string) =>
    (text: string, fields: LogFields = {}): void =>
      void lines.push({ level, message: text, fields: { ...own, ...fields } })
  return {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    with: (fields) => recordingLogger(lines, { ...own, ...fields }),
    isEnabled: () => true,
  }
}

/** Waits until `condition` holds. */
export async function eventually(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > end) throw new Error('Waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
