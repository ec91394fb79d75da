import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { LoginAuthority } from '../accounts/login-conversation.ts'
import { createIpSet, type IpSet } from '../accounts/ip-set.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { delay } from '../base/deadline.ts'
import { ConfigError, messageOf } from '../base/errors.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { silentMeter, type Meter } from '../base/meter.ts'
import { silentEventLog, type EventLog } from '../events/event-log.ts'
import { nativePacketCiphers } from '../native/packet-ciphers.ts'
import { createSocketSender } from '../native/socket-sender.ts'
import { chooseAlgorithms, type AlgorithmSettings } from './algorithms.ts'
import { Connection } from './connection.ts'
import type {
  ConnectionContext,
  ConnectionSettings,
  OpenSession,
  ProxyExpectation,
} from './connection-context.ts'
import { ConnectionRegistry } from './connection-registry.ts'
import { Crowd } from './crowd.ts'
import { fingerprintOf, loadHostKeys } from './host-keys.ts'
import { hostKeyAlgorithms, type HostKey, type SshLibrary } from './library.ts'
import { openSshLibrary } from './ssh2/open-library.ts'
import { runSelfTest, strictServer } from './library-self-test.ts'
import { disconnectReason } from './messages.ts'
import { createPacketPool } from './packet-pool.ts'
import { createReadPool } from './read-memory.ts'
import { usualWindows } from './receive-window.ts'
import { createTurnBudget } from './turn-budget.ts'

/** How an SSH server is set up. Everything but the first five has a default. */
export interface SshServerOptions {
  readonly bindings: readonly Binding[]
  readonly hostKeys: { readonly files: readonly string[]; readonly folder: string }
  readonly authority: LoginAuthority
  readonly serve: OpenSession
  readonly algorithms: AlgorithmSettings
  /** What follows `SSH-2.0-` in our first line; default `SFTPGoTS`. */
  readonly software?: string
  /** Shown before the login. */
  readonly banner?: string
  /** Refused attempts per connection; 0: the default, 6. */
  readonly maxAuthTries?: number
  /** Default true. */
  readonly passwordAllowed?: boolean
  readonly keyboardInteractiveAllowed?: boolean
  /** Default 120,000. */
  readonly loginGraceMs?: number
  /** Without SFTP requests; 0: for ever. Default 15 minutes. */
  readonly idleMs?: number
  /** Default 60,000; 0: none. */
  readonly keepaliveMs?: number
  /** Connections in total; 0 (default): no limit. */
  readonly maxTotal?: number
  /** Connections of one address; 0: no limit. Default 20. */
  readonly maxPerAddress?: number
  /** Connections that are not logged in. Default 1,024. */
  readonly maxHalfOpen?: number
  /** The same of one address. Default: as `maxPerAddress`, or 512 where that is no limit. */
  readonly maxHalfOpenPerAddress?: number
  /** Default 1 GiB and one hour. */
  readonly rekeyBytes?: number
  readonly rekeyMs?: number
  readonly proxy?: ProxySettings
  readonly log?: Logger
  readonly meter?: Meter
  readonly clock?: Clock
  readonly events?: Pick<EventLog, 'recordLog'>
  /** Whom the limits count, where another server still has connections of its own; default: those of this one. */
  readonly crowd?: Crowd
  /** Told of each connection that is over, whether or not it was let in. */
  readonly left?: (connectionId: string) => void
}

/** Where to listen. */
export interface Binding {
  /** Empty: all addresses. */
  readonly address: string
  /** 0: any free port. */
  readonly port: number
  /** Whether the PROXY settings hold here. Default true. */
  readonly applyProxy?: boolean
}

/** The PROXY protocol, with SFTPGo's words: 0 off, 1 where a header comes, 2 required. */
export interface ProxySettings {
  readonly mode: 0 | 1 | 2
  /** Networks whose headers are believed. */
  readonly allowed: readonly string[]
  /** Networks that connect without a header. */
  readonly skipped: readonly string[]
}

/** One connection, for status pages and commands. */
export interface ConnectionInfo {
  readonly id: string
  readonly address: string
  /** Absent before the login. */
  readonly username?: string
  readonly method?: string
  readonly clientVersion: string
  readonly since: number
  readonly idleMs: number
  readonly sessions: number
  readonly kex?: string
  readonly cipher?: string
}

/** What the server can do on this machine, for `doctor` and status. */
export interface SshStatus {
  readonly nativeCiphers: boolean
  readonly ciphers: readonly string[]
  readonly macs: readonly string[]
  readonly kex: readonly string[]
  /** Algorithms of the offer that failed their test at start, with the reason. */
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[]
  readonly hostKeys: readonly { readonly type: string; readonly fingerprint: string }[]
}

/** A listening SSH server. */
export interface SshServer {
  readonly addresses: readonly { readonly address: string; readonly port: number }[]
  readonly status: SshStatus
  connections(): readonly ConnectionInfo[]
  /** SFTP sessions that the user has open, also with another server of the crowd. */
  sessionsOf(username: string): number
  /** Ends the connections for which `matches` says so, with a word to the client; returns how many. */
  disconnect(matches: (connection: ConnectionInfo) => boolean, text: string): number
  /** Takes nobody new; who is connected stays. Returns when the last of them has left by itself. */
  retire(): Promise<void>
  /** Takes nobody new, lets what is under way finish for `graceMs`, then says goodbye to everybody. */
  close(graceMs?: number): Promise<void>
}

const mostChannels = 10
/** Kept while nobody needs them: 2 MiB. */
const pooledPackets = 8
/** Kept while nobody needs them: 4 MiB. */
const pooledReads = 8
const sweepMs = 500
/** Of each turn of the event loop, for strangers' key exchanges and logins. */
const strangersMs = 8

/** Loads or makes host keys, tests the SSH library on this machine, and listens. Throws a `ConfigError` for bad settings. */
export async function startSshServer(options: SshServerOptions): Promise<SshServer> {
  const log = options.log ?? silentLogger
  const choice = chooseAlgorithms(options.algorithms)
  const library = await openSshLibrary(nativePacketCiphers())
  if (!library.nativeCiphers)
    log.warn('packet ciphers run in JavaScript: transfers cost up to five times the CPU')
  const hostKeys = await loadHostKeys(
    library,
    {
      ...options.hostKeys,
      allowed: (type) => choice.hostKeyAlgorithms.some((name) => name === type || isRsaName(name, type)),
    },
    log,
  )
  const crowd = options.crowd ?? new Crowd(options.meter)
  const { context, status } = prepare({ ...options, crowd }, library, choice, hostKeys, log)
  const listeners: Server[] = []
  try {
    for (const binding of options.bindings) listeners.push(await listen(binding, options.proxy, context))
  } catch (error) {
    for (const listener of listeners) listener.close()
    throw error
  }
  return runServer(listeners, context, status, crowd)
}

function isRsaName(name: string, type: string): boolean {
  return type === 'ssh-rsa' && name.startsWith('rsa-sha2-')
}

function prepare(
  options: SshServerOptions & { readonly crowd: Crowd },
  library: SshLibrary,
  choice: ReturnType<typeof chooseAlgorithms>,
  hostKeys: readonly HostKey[],
  log: Logger,
): { readonly context: ConnectionContext; readonly status: SshStatus } {
  const [firstKey] = hostKeys
  if (firstKey === undefined) throw new ConfigError('missing-key', 'Cannot start without a host key')
  const tested = runSelfTest(library, choice, firstKey)
  for (const { name, reason } of tested.failed)
    log.error('algorithm left out: it failed its test on this machine', { algorithm: name, reason })
  const keyNames = new Set(hostKeys.flatMap((key) => hostKeyAlgorithms(key)))
  const clock = options.clock ?? systemClock
  const meter = options.meter ?? silentMeter
  const context: ConnectionContext = {
    library,
    offer: library.createOffer({
      ciphers: tested.ciphers,
      macs: tested.macs,
      kex: [...choice.kex, strictServer],
      hostKeyAlgorithms: choice.hostKeyAlgorithms.filter((name) => keyNames.has(name)),
    }),
    hostKeys,
    settings: connectionSettings(options, choice.publicKeyAlgorithms),
    authority: options.authority,
    registry: new ConnectionRegistry(registryLimits(options), options.crowd),
    budget: createTurnBudget(strangersMs),
    pool: createPacketPool(pooledPackets),
    sender: createSocketSender(),
    readPool: createReadPool(pooledReads),
    serve: options.serve,
    left: options.left ?? (() => {}),
    log,
    meter,
    clock,
    events: options.events ?? silentEventLog,
  }
  const status: SshStatus = {
    nativeCiphers: library.nativeCiphers,
    ciphers: tested.ciphers,
    macs: tested.macs,
    kex: choice.kex,
    leftOut: tested.failed,
    hostKeys: hostKeys.map((key) => ({ type: key.type, fingerprint: fingerprintOf(key.publicBlob) })),
  }
  return { context, status }
}

function connectionSettings(
  options: SshServerOptions,
  publicKeyAlgorithms: readonly string[],
): ConnectionSettings {
  const tries = options.maxAuthTries ?? 0
  return {
    software: softwareName(options.software ?? 'SFTPGoTS'),
    login: {
      mostAttempts: tries > 0 ? tries : 6,
      publicKeyAlgorithms,
      passwordAllowed: options.passwordAllowed ?? true,
      keyboardInteractiveAllowed: options.keyboardInteractiveAllowed ?? true,
      ...(options.banner === undefined ? {} : { banner: options.banner }),
    },
    windows: usualWindows,
    mostChannels,
    loginGraceMs: options.loginGraceMs ?? 120_000,
    idleMs: options.idleMs ?? 15 * 60_000,
    keepaliveMs: options.keepaliveMs ?? 60_000,
    keepalivesUnanswered: 3,
    rekeyBytes: options.rekeyBytes ?? 1024 ** 3,
    rekeyMs: options.rekeyMs ?? 3_600_000,
    exchangeMs: 120_000,
  }
}

/** RFC 4253 section 4.2: printable, without spaces and minus signs. */
function softwareName(name: string): string {
  return name.replace(/[^\x21-\x7e]|-/g, '_').slice(0, 200)
}

function registryLimits(options: SshServerOptions) {
  const perAddress = options.maxPerAddress ?? 20
  return {
    total: options.maxTotal ?? 0,
    perAddress,
    halfOpen: options.maxHalfOpen ?? 1024,
    halfOpenPerAddress: options.maxHalfOpenPerAddress ?? (perAddress > 0 ? perAddress : 512),
  }
}

async function listen(
  binding: Binding,
  proxy: ProxySettings | undefined,
  context: ConnectionContext,
): Promise<Server> {
  const expect = proxyExpectations(binding.applyProxy === false ? undefined : proxy)
  // Paused until the address was checked: nobody's bytes are read before that.
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    const expectation = expect(socket)
    context.meter.add('sftpgo_connections_total')
    if (expectation !== 'refused') return new Connection(socket, expectation, context).begin()
    context.meter.add('sftpgo_connections_refused_total', 1, { by: 'proxy-address' })
    socket.destroy()
  })
  const { address, port } = binding
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: Error) => {
      reject(
        new ConfigError('address-in-use', `Cannot listen on ${address || '*'}:${port}: ${cause.message}`, {
          cause,
        }),
      )
    })
    server.listen({ port, backlog: 1024, ...(address === '' ? {} : { host: address }) }, resolve)
  })
  server.on('error', (error) => context.log.error('listener failed', { error: messageOf(error) }))
  return server
}

/** What to expect from a socket, by the address of its other end. */
function proxyExpectations(
  proxy: ProxySettings | undefined,
): (socket: Socket) => ProxyExpectation | 'refused' {
  if (proxy === undefined || proxy.mode === 0) return () => 'none'
  const allowed = ipSet('proxy_allowed', proxy.allowed)
  const skipped = ipSet('proxy_skipped', proxy.skipped)
  return ({ remoteAddress = '' }) => {
    if (skipped.has(remoteAddress)) return 'none'
    if (allowed.has(remoteAddress)) return proxy.mode === 2 ? 'required' : 'optional'
    // SFTPGo's rule: a header from somebody else is read and not believed, or nobody else may connect at all.
    return proxy.mode === 2 ? 'refused' : 'ignored'
  }
}

function ipSet(setting: string, networks: readonly string[]): IpSet {
  try {
    return createIpSet(networks)
  } catch (cause) {
    throw new ConfigError('out-of-range', `Cannot use common.${setting}: ${messageOf(cause)}`, { cause })
  }
}

function runServer(
  listeners: readonly Server[],
  context: ConnectionContext,
  status: SshStatus,
  crowd: Crowd,
): SshServer {
  const { registry, clock } = context
  // A listener is closed when its connections are, too.
  const closed = (): Promise<unknown> =>
    Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))))
  let sweeping = true
  const sweep = (): void => {
    if (!sweeping) return
    const now = clock.monotonic()
    for (const connection of registry.connections()) connection.sweep(now)
    clock.after(sweepMs, sweep)
  }
  clock.after(sweepMs, sweep)
  return {
    addresses: listeners.map((listener) => {
      // A server that listens on TCP has an address of this form.
      const { address, port } = listener.address() as AddressInfo
      return { address, port }
    }),
    status,
    connections: () => [...registry.connections()].map((each) => infoOf(each, clock.monotonic())),
    sessionsOf: (username) => crowd.sessionsOf(username),
    disconnect(matches, text) {
      const now = clock.monotonic()
      const found = [...registry.connections()].filter((each) => matches(infoOf(each, now)))
      for (const connection of found) connection.end(disconnectReason.byApplication, text)
      return found.length
    },
    async retire() {
      await closed()
      sweeping = false
    },
    async close(graceMs = 0) {
      const done = closed()
      await drainAll(context, graceMs)
      await done
      sweeping = false
    },
  }
}

async function drainAll({ registry }: ConnectionContext, graceMs: number): Promise<void> {
  const end = performance.now() + graceMs
  for (;;) {
    for (const connection of registry.connections()) {
      if (connection.drain() || performance.now() >= end)
        connection.end(disconnectReason.byApplication, 'The server is going down')
    }
    if (registry.size === 0) return
    if (performance.now() >= end + lastWordsMs)
      for (const connection of registry.connections()) connection.destroy('the server is going down')
    await delay(50)
  }
}

/** For a goodbye to arrive. */
const lastWordsMs = 1_000

function infoOf(connection: Connection, now: number): ConnectionInfo {
  const { principal, negotiated } = connection
  return {
    id: connection.id,
    address: connection.address,
    clientVersion: connection.clientVersion,
    since: connection.since,
    idleMs: Math.round(connection.idleFor(now)),
    sessions: connection.sessionCount,
    ...(principal === undefined ? {} : { username: principal.user.username, method: principal.method }),
    ...(negotiated === undefined ? {} : { kex: negotiated.kex, cipher: negotiated.cipherIn }),
  }
}
