import { PluginError } from '../base/errors.ts'

/** The bytes of one message as gRPC sends them: a zero for "not compressed", four bytes of length, the message. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(message.length + 5)
  frame[0] = 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return frame
}

/** Finds the messages in bytes that arrive cut anywhere. Never holds more than one message of `limitBytes`. */
export class FrameReader {
  readonly #limitBytes: number
  #pieces: Buffer[] = []
  #held = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** True between messages. */
  get isEmpty(): boolean {
    return this.#held === 0
  }

  /** Takes bytes and gives the messages they complete. Throws `too-large` or `malformed-reply`. */
  push(bytes: Buffer): Buffer[] {
    this.#pieces.push(bytes)
    this.#held += bytes.length
    const messages: Buffer[] = []
    for (let length = this.#nextLength(); length !== undefined; length = this.#nextLength()) {
      const whole = this.#joined()
      messages.push(whole.subarray(5, 5 + length))
      this.#pieces = whole.length > 5 + length ? [whole.subarray(5 + length)] : []
      this.#held = whole.length - 5 - length
    }
    return messages
  }

  /** The length of the message that has arrived whole, or undefined while bytes are missing. */
  #nextLength(): number | undefined {
    if (this.#held < 5) return undefined
    const first = this.#pieces[0]
    const head = first !== undefined && first.length >= 5 ? first : this.#joined()
    if (head[0] !== 0)
      throw new PluginError('malformed-reply', 'The message is compressed, which nobody asked for')
    const length = head.readUInt32BE(1)
    if (length > this.#limitBytes) {
      throw new PluginError(
        'too-large',
        `The message has ${length} bytes and ${this.#limitBytes} are allowed`,
      )
    }
    return this.#held >= 5 + length ? length : undefined
  }

  #joined(): Buffer {
    const [only, ...more] = this.#pieces
    if (only !== undefined && more.length === 0) return only
    const whole = Buffer.concat(this.#pieces)
    this.#pieces = [whole]
    return whole
  }
}
