/** What another process sent, field by field: each is looked at where it is taken. */
export interface Fields {
  text(name: string): string
  number(name: string): number
  flag(name: string): boolean
  bytes(name: string): Buffer
  texts(name: string): readonly string[]
  list(name: string): readonly unknown[]
  object(name: string): Readonly<Record<string, unknown>>
  has(name: string): boolean
  /** Undefined when the field is not there. */
  optionalText(name: string): string | undefined
}

/** Reads an object. Its methods throw a `TypeError` that names the field. */
export function fieldsOf(input: unknown): Fields {
  const values = objectOf(input, 'message')
  const wrong = (name: string): TypeError =>
    new TypeError(`Field "${name}" of a message is not what it should be`)
  const fields: Fields = {
    text(name) {
      const value = values[name]
      if (typeof value !== 'string') throw wrong(name)
      return value
    },
    number(name) {
      const value = values[name]
      if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(name)
      return value
    },
    flag: (name) => values[name] === true,
    bytes(name) {
      const value = values[name]
      if (!(value instanceof Uint8Array)) throw wrong(name)
      return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    },
    texts(name) {
      const all = fields.list(name)
      if (!all.every((each) => typeof each === 'string')) throw wrong(name)
      return all
    },
    list(name) {
      const value = values[name]
      if (!Array.isArray(value)) throw wrong(name)
      return value
    },
    object: (name) => objectOf(values[name], name),
    has: (name) => values[name] !== undefined,
    optionalText: (name) => (values[name] === undefined ? undefined : fields.text(name)),
  }
  return fields
}

function objectOf(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`"${name}" of a message is not an object`)
  return value as Readonly<Record<string, unknown>> // an object with fields of any kind
}
