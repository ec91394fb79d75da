import { PluginError } from '../base/errors.ts'
import { ByteStore } from './byte-store.ts'

/** The bytes of one message as gRPC sends them: a zero for "not compressed", four bytes of length, the message. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(message.length + headBytes)
  frame[0] = 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, headBytes)
  return frame
}

/** Finds the messages in bytes that arrive cut anywhere. Never holds more than one message of `limitBytes`. */
export class FrameReader {
  readonly #limitBytes: number
  readonly #held = new ByteStore()

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** True between messages. */
  get isEmpty(): boolean {
    return this.#held.size === 0
  }

  /** Takes bytes and gives the messages they complete. Throws `too-large` or `malformed-reply`. */
  push(bytes: Buffer): Buffer[] {
    const whole = this.#held.size === 0 ? bytes : this.#held.append(bytes)
    const messages: Buffer[] = []
    let at = 0
    for (let end = this.#endOf(whole, at); end !== undefined; end = this.#endOf(whole, at)) {
      messages.push(whole.subarray(at + headBytes, end))
      at = end
    }
    this.#keep(whole, at)
    return messages
  }

  /** Where the message that begins at `at` ends, or undefined while bytes are missing. */
  #endOf(whole: Buffer, at: number): number | undefined {
    if (whole.length - at < headBytes) return undefined
    if (whole[at] !== 0)
      throw new PluginError('malformed-reply', 'The message is compressed, which nobody asked for')
    const length = whole.readUInt32BE(at + 1)
    if (length > this.#limitBytes) {
      throw new PluginError(
        'too-large',
        `The message has ${length} bytes and ${this.#limitBytes} are allowed`,
      )
    }
    const end = at + headBytes + length
    return end <= whole.length ? end : undefined
  }

  #keep(whole: Buffer, from: number): void {
    // Nothing was taken out: what was held is held as it is.
    if (from === 0 && !this.isEmpty) return
    this.#held.take()
    if (from < whole.length) this.#held.append(whole.subarray(from))
  }
}

const headBytes = 5
