import { fork } from 'node:child_process'
import { once } from 'node:events'
import { nativePacketCiphers } from '../../src/native/packet-ciphers.ts'
import { message } from '../../src/ssh/messages.ts'
import { openSshLibrary } from '../../src/ssh/ssh2/open-library.ts'
import { buildMessage } from '../../src/ssh/wire.ts'
import { bundleProgram } from '../helpers/program.ts'
import { init, packet, u32 } from '../helpers/sftp-peer.ts'
import { RawClient } from './raw-client.ts'

/** What a server of a proof is told. */
export type Order = 'stall' | 'go' | 'report' | 'stop'

/** What it says of itself. */
export interface Report {
  readonly writtenBytes: number
  readonly open: number
  readonly interrupted: number
  readonly connections: number
  readonly loggedIn: number
  readonly errors: number
  readonly rssBytes: number
  /** JavaScript and buffers after a collection. */
  readonly usedBytes: number
  readonly cpuMs: number
  /** From its first moment to its last, of the connection that lived longest. */
  readonly longestLifeMs: number
  /** Of the event loop, since the report before. */
  readonly lagP99Ms: number
}

/** A server in a process of its own. */
export interface EnduringServer extends AsyncDisposable {
  readonly port: number
  stall(): Promise<void>
  go(): Promise<void>
  report(): Promise<Report>
}

/** Starts a server whose memory can be measured. */
export async function startEnduringServer(
  options: { readonly graceMs?: number; readonly keepaliveMs?: number } = {},
): Promise<EnduringServer> {
  const file = await bundleProgram('test/ssh/programs/enduring-server.ts')
  const { graceMs = 120_000, keepaliveMs = 60_000 } = options
  const child = fork(file, [String(graceMs), String(keepaliveMs)], { execArgv: ['--expose-gc'] })
  const answer = async (): Promise<unknown> => {
    const [said] = (await once(child, 'message', { signal: AbortSignal.timeout(20_000) })) as unknown[]
    return said
  }
  const tell = (order: Order): Promise<unknown> => {
    const said = answer()
    child.send(order)
    return said
  }
  const port = Number(await answer())
  return {
    port,
    stall: async () => void (await tell('stall')),
    go: async () => void (await tell('go')),
    report: async () => (await tell('report')) as Report, // our own program's answer to this order
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      const gone = once(child, 'exit')
      child.send('stop' satisfies Order)
      await gone
    },
  }
}

/** A client that speaks SFTP as fast as this machine can. */
export class SftpClient implements AsyncDisposable {
  readonly raw: RawClient
  readonly #theirs: number
  #id = 10
  /** Bytes the server lets us send. */
  #room: number

  private constructor(raw: RawClient, theirs: number, room: number) {
    this.raw = raw
    this.#theirs = theirs
    this.#room = room
    // Answers keepalives, as every client does.
    raw.socket.on('data', () => {
      const asked = raw.heard.findIndex((payload) => payload[0] === message.globalRequest)
      if (asked < 0 || raw.ended) return
      raw.heard.splice(asked, 1)
      raw.send(buildMessage(message.requestFailure))
    })
  }

  static async login(port: number): Promise<SftpClient> {
    const library = await openSshLibrary(nativePacketCiphers())
    const raw = await RawClient.login({ port, library, ciphers: ['aes128-gcm@openssh.com'] })
    const theirs = await raw.openSftp()
    const client = new SftpClient(raw, theirs, 2 * 1024 * 1024)
    await client.ask(init())
    return client
  }

  /** Sends bytes of a packet without waiting for an answer; false where the server's window has no room. */
  post(bytes: Buffer): boolean {
    this.#takeRoom()
    if (bytes.length > this.#room) return false
    this.#room -= bytes.length
    for (let at = 0; at < bytes.length; at += 32_000)
      this.raw.send(buildMessage(message.channelData, this.#theirs, bytes.subarray(at, at + 32_000)))
    return true
  }

  /** Sends one packet and returns what comes back, as far as it came at once. */
  async ask(bytes: Buffer): Promise<Buffer> {
    this.post(bytes)
    return this.raw.next(message.channelData)
  }

  async open(path: string, flags: number): Promise<Buffer> {
    const reply = await this.ask(packet(3, u32(this.#id++), path, u32(flags), u32(0)))
    const at = 1 + 4 + 4 + 4 + 1 + 4
    return Buffer.from(reply.subarray(at + 4, at + 4 + reply.readUInt32BE(at)))
  }

  /** Milliseconds that a STAT takes. */
  async statMs(): Promise<number> {
    const began = performance.now()
    await this.ask(packet(17, u32(this.#id++), '/'))
    return performance.now() - began
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.raw[Symbol.asyncDispose]()
  }

  #takeRoom(): void {
    const { heard } = this.raw
    for (let at = heard.length - 1; at >= 0; at -= 1) {
      const each = heard[at]
      if (each?.[0] !== message.channelWindowAdjust) continue
      this.#room += each.readUInt32BE(5)
      heard.splice(at, 1)
    }
  }
}

/** The value below which so many of a hundred lie. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0
}

export { recordFigure } from '../helpers/soak-figures.ts'
