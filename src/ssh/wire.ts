/** The peer broke a rule of the protocol; the connection ends. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** Reads the fields of one message (RFC 4251 section 5). Every read past the end throws a `ProtocolError`. */
export class Fields {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at = 1) {
    this.#bytes = bytes
    this.#at = at
  }

  /** Where the next field begins. */
  get position(): number {
    return this.#at
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  boolean(): boolean {
    this.#need(1)
    const value = this.#bytes[this.#at] !== 0
    this.#at += 1
    return value
  }

  uint32(): number {
    this.#need(4)
    const value = this.#bytes.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }

  /** A string's bytes, as a view on the message: copy what has to live longer. */
  bytes(): Buffer {
    const length = this.uint32()
    this.#need(length)
    const value = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return value
  }

  /** A name of the protocol: one character per byte. */
  name(): string {
    return this.bytes().toString('latin1')
  }

  /** Text in UTF-8, or undefined when it is not. */
  text(): string | undefined {
    const bytes = this.bytes()
    try {
      return strictUtf8.decode(bytes)
    } catch {
      return undefined
    }
  }

  #need(length: number): void {
    if (this.left < length) throw new ProtocolError('A message is too short')
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A field of a message to be built: a number is a uint32, a string or buffer is sent with its length. */
export type Field = number | boolean | string | Buffer | { readonly raw: Buffer }

/** Builds a message. For the rare ones: bytes of files take the way of `Transport.begin`. */
export function buildMessage(type: number, ...fields: readonly Field[]): Buffer {
  return Buffer.concat([Buffer.of(type), ...fields.map((field) => fieldBytes(field))])
}

/** A string with its length before it. */
export function sshString(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
  const whole = Buffer.allocUnsafe(4 + bytes.length)
  whole.writeUInt32BE(bytes.length)
  whole.set(bytes, 4)
  return whole
}

/** A positive number as SSH writes it: no zeros before it, but one where the first bit is set. */
export function sshMpint(bytes: Buffer): Buffer {
  let from = 0
  while (from < bytes.length - 1 && bytes[from] === 0) from += 1
  const trimmed = bytes.subarray(from)
  return sshString((trimmed[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), trimmed]) : trimmed)
}

function fieldBytes(field: Field): Buffer {
  if (typeof field === 'number') {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeUInt32BE(field)
    return bytes
  }
  if (typeof field === 'boolean') return Buffer.of(field ? 1 : 0)
  if (typeof field === 'string' || Buffer.isBuffer(field)) return sshString(field)
  return field.raw
}

/** What a peer said, safe for a log: printable ASCII, the rest as `\xNN`, and not too long. */
export function escapedForLog(text: string, most = 255): string {
  const cut = text.length > most ? `${text.slice(0, most)}...` : text
  return cut.replace(/[^\x20-\x7e]|\\/g, (character) => {
    const code = character.codePointAt(0) ?? 0
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}
