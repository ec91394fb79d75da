import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { chooseAlgorithms } from '../../src/ssh/algorithms.ts'
import type { Negotiated, SshLibrary, Transport } from '../../src/ssh/library.ts'
import { openSshLibrary } from '../../src/ssh/ssh2/open-library.ts'
import { message } from '../../src/ssh/messages.ts'
import { buildMessage, Fields } from '../../src/ssh/wire.ts'

/** What a raw client is told. */
export interface RawClientOptions {
  readonly port: number
  readonly localAddress?: string
  readonly kex?: readonly string[]
  readonly ciphers?: readonly string[]
  readonly macs?: readonly string[]
  readonly library?: SshLibrary
}

/** An SSH client that sends what a test wants, whether a client may or not. */
export class RawClient implements AsyncDisposable {
  readonly heard: Buffer[] = []
  readonly transport: Transport
  negotiated: Negotiated | undefined
  goodbye: { readonly reason: number; readonly text: string } | undefined
  exchanges = 0
  ended = false
  failure: Error | undefined
  #wakeUp: (() => void)[] = []
  readonly socket: Socket

  private constructor(socket: Socket, library: SshLibrary, options: RawClientOptions) {
    this.socket = socket
    const choice = chooseAlgorithms({ profile: 'legacy' })
    this.transport = library.createTransport(
      {
        side: 'client',
        software: 'raw',
        offer: library.createOffer({
          ...choice,
          kex: [...(options.kex ?? ['curve25519-sha256']), 'ext-info-c', 'kex-strict-c-v00@openssh.com'],
          ciphers: options.ciphers ?? choice.ciphers,
          macs: options.macs ?? choice.macs,
        }),
        hostKeys: [],
        signatureAlgorithms: [],
        rekeyBytes: Number.MAX_SAFE_INTEGER,
        firstExchangesOnly: false,
      },
      {
        write: (bytes) => void (socket.destroyed ? false : socket.write(bytes)),
        payload: (payload) => {
          this.heard.push(Buffer.from(payload))
          this.#wake()
        },
        exchanged: (_, negotiated) => {
          this.negotiated = negotiated
          this.exchanges += 1
          this.#wake()
        },
        disconnected: (reason, text) => {
          this.goodbye = { reason, text }
          this.#wake()
        },
        failed: (error) => {
          this.failure = error
          this.#wake()
        },
      },
    )
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (chunk) => this.transport.receive(chunk))
    socket.on('close', () => {
      this.ended = true
      this.#wake()
    })
    socket.write('SSH-2.0-raw\r\n')
  }

  /** Connects and waits for the first key exchange. */
  static async open(options: RawClientOptions): Promise<RawClient> {
    const client = await RawClient.connect(options)
    await client.until(() => client.exchanges > 0)
    return client
  }

  /** Connects; the key exchange runs by itself. */
  static async connect(options: RawClientOptions): Promise<RawClient> {
    const library = options.library ?? (await rawLibrary())
    const socket = connect({
      port: options.port,
      host: '127.0.0.1',
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    })
    await once(socket, 'connect')
    return new RawClient(socket, library, options)
  }

  /** As `open`, and then logged in by password. */
  static async login(options: RawClientOptions, username = 'ada', password = 'engine'): Promise<RawClient> {
    const client = await RawClient.open(options)
    client.startLogin()
    client.sendPassword(username, password)
    await client.next(message.userauthSuccess)
    return client
  }

  startLogin(): void {
    this.send(buildMessage(message.serviceRequest, 'ssh-userauth'))
  }

  sendPassword(username: string, password: string): void {
    this.send(buildMessage(message.userauthRequest, username, 'ssh-connection', 'password', false, password))
  }

  send(payload: Buffer): void {
    this.transport.send(payload)
  }

  /** Opens a session channel with SFTP on it; returns the server's number of the channel. */
  async openSftp(window = 2 ** 31, packetSize = 32_768, ours = 0): Promise<number> {
    this.send(buildMessage(message.channelOpen, 'session', ours, window, packetSize))
    const fields = new Fields(await this.next(message.channelOpenConfirmation))
    fields.uint32()
    const theirs = fields.uint32()
    this.send(buildMessage(message.channelRequest, theirs, 'subsystem', true, 'sftp'))
    await this.next(message.channelSuccess)
    return theirs
  }

  /** Takes the next message of one of these types out of what was heard; throws when the connection ends first. */
  async next(...types: number[]): Promise<Buffer> {
    const find = (): number => this.heard.findIndex((payload) => types.includes(payload[0] ?? -1))
    await this.until(() => find() >= 0)
    const [found] = this.heard.splice(find(), 1)
    if (found === undefined) throw new Error('Nothing was heard')
    return found
  }

  /** Waits until `condition` holds; throws when the connection ended and it does not. */
  async until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    const end = performance.now() + timeoutMs
    while (!condition()) {
      if (this.ended)
        throw new Error(`The connection ended: ${this.goodbye?.text ?? this.failure?.message ?? ''}`)
      if (performance.now() > end) throw new Error(`Waited in vain; heard ${this.heardTypes().join(' ')}`)
      await this.#news(end - performance.now())
    }
  }

  /** Waits until the server hung up. */
  async untilEnded(timeoutMs = 10_000): Promise<void> {
    const end = performance.now() + timeoutMs
    while (!this.ended) {
      if (performance.now() > end) throw new Error('The connection is still open')
      await this.#news(end - performance.now())
    }
  }

  heardTypes(): number[] {
    return this.heard.map((payload) => payload[0] ?? -1)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.transport.close()
    this.socket.destroy()
    if (!this.ended) await this.untilEnded()
  }

  #wake(): void {
    for (const wake of this.#wakeUp.splice(0)) wake()
  }

  #news(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, timeoutMs))
      this.#wakeUp.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}

let shared: Promise<SshLibrary> | undefined

/** The library with its JavaScript ciphers: an implementation other than the one under test. */
export function rawLibrary(): Promise<SshLibrary> {
  shared ??= openSshLibrary(undefined)
  return shared
}
