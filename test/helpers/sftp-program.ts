import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { init, packet, u32, type Field, type ReplyPacket } from './sftp-peer.ts'

/** A program that speaks SFTP on its standard input and output, asked one request after the other. */
export class SftpProgram implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  #received: Buffer = Buffer.alloc(0)
  #wake: () => void = () => {}
  #ended = false
  #lastId = 0

  private constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#child.stdin.on('error', () => {})
    this.#child.stdout.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes])
      this.#wake()
    })
    this.#child.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  /** Starts the program and says INIT. */
  static async greeted(command: string, ...args: readonly string[]): Promise<SftpProgram> {
    const program = new SftpProgram(command, args)
    program.#child.stdin.write(init())
    await program.#next()
    return program
  }

  async request(type: number, ...fields: readonly Field[]): Promise<ReplyPacket> {
    this.#lastId += 1
    this.#child.stdin.write(packet(type, u32(this.#lastId), ...fields))
    const reply = await this.#next()
    if (reply.id !== this.#lastId) throw new Error(`Reply ${reply.id} to request ${this.#lastId}`)
    return reply
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end()
    while (!this.#ended) await this.#more()
  }

  async #next(): Promise<ReplyPacket> {
    for (;;) {
      const length = this.#received.length < 4 ? Infinity : 4 + this.#received.readUInt32BE(0)
      if (this.#received.length >= length) {
        const whole = this.#received.subarray(4, length)
        this.#received = this.#received.subarray(length)
        return { type: whole[0] ?? 0, id: whole.readUInt32BE(1), body: whole.subarray(5) }
      }
      if (this.#ended) throw new Error('The program ended without a reply')
      await this.#more()
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('The program does not answer')), 10_000)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
