/** What came to light while a record was read. Sentences begin with the path of the field. */
export interface Findings {
  /** What makes the record unusable. */
  readonly problems: string[]
  /** What was there and is not taken over. */
  readonly dropped: string[]
}

/** Reads the fields of one unknown object. What is missing, null or empty is the field's zero; what is wrong becomes a problem. */
export interface RecordReader {
  text(key: string, limits?: { readonly most?: number }): string
  integer(key: string, limits?: { readonly least?: number; readonly most?: number }): number
  flag(key: string): boolean
  texts(key: string): string[]
  /** The elements of a list of objects, each read by `read`. */
  objects<T>(key: string, read: (reader: RecordReader) => T): T[]
  /** A nested object; undefined when it is not there. */
  object<T>(key: string, read: (reader: RecordReader) => T): T | undefined
  /** The raw value, marked as read. */
  raw(key: string): unknown
  /** Fields that are known, of no use here, and not worth a word. */
  ignore(...keys: readonly string[]): void
  problem(key: string, text: string): void
  drop(key: string, text: string): void
  /** Reports every field that nobody read and that holds something. */
  end(): void
}

const mostListLength = 10_000
const mostTextLength = 65_536

/** Reads `value`, which may be anything, as an object standing at `path`. */
export function readRecord(value: unknown, path: string, findings: Findings): RecordReader {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject) findings.problems.push(`${path || 'the record'}: expected an object`)
  // Proved to be an object; its fields stay unknown.
  const record = (isObject ? value : {}) as Readonly<Record<string, unknown>>
  const seen = new Set<string>()
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`)
  const problem = (key: string, text: string): void => void findings.problems.push(`${at(key)}: ${text}`)

  const raw = (key: string): unknown => {
    seen.add(key)
    return Object.hasOwn(record, key) ? record[key] : undefined
  }
  const list = (key: string): readonly unknown[] => {
    const found = raw(key)
    if (found === undefined || found === null) return []
    if (!Array.isArray(found)) problem(key, 'expected a list')
    else if (found.length > mostListLength) problem(key, `has more than ${mostListLength} elements`)
    else return found
    return []
  }
  return {
    raw,
    problem,
    text(key, { most = mostTextLength } = {}) {
      const found = raw(key) ?? ''
      if (typeof found !== 'string') problem(key, 'expected text')
      else if (found.length > most) problem(key, `is longer than ${most} characters`)
      else if (found.includes('\0')) problem(key, 'contains a NUL character')
      else return found
      return ''
    },
    integer(key, { least = 0, most = Number.MAX_SAFE_INTEGER } = {}) {
      const found = raw(key) ?? 0
      if (!Number.isSafeInteger(found)) problem(key, 'expected a whole number')
      // A whole number, as just checked.
      else if ((found as number) < least || (found as number) > most)
        problem(key, `is not between ${least} and ${most}`)
      else return found as number
      return least > 0 ? least : 0
    },
    flag(key) {
      const found = raw(key) ?? false
      if (typeof found !== 'boolean') problem(key, 'expected true or false')
      return found === true
    },
    texts(key) {
      const found = list(key).filter((one) => one !== '' && one !== null)
      const texts = found.filter((one) => typeof one === 'string' && one.length <= mostTextLength)
      if (texts.length !== found.length) problem(key, 'expected a list of texts')
      return texts as string[] // filtered for text
    },
    objects(key, read) {
      return list(key).map((one, index) => {
        const reader = readRecord(one, `${at(key)}[${index}]`, findings)
        const result = read(reader)
        reader.end()
        return result
      })
    },
    object(key, read) {
      const found = raw(key)
      if (found === undefined || found === null) return undefined
      const reader = readRecord(found, at(key), findings)
      const result = read(reader)
      reader.end()
      return result
    },
    ignore(...keys) {
      for (const key of keys) seen.add(key)
    },
    drop: (key, text) => void findings.dropped.push(`${at(key)}: ${text}`),
    end() {
      for (const [key, left] of Object.entries(record)) {
        if (!seen.has(key) && holdsSomething(left)) findings.dropped.push(`${at(key)}: not supported here`)
      }
    },
  }
}

/** Whether a value says anything: zeros, empty texts and empty objects are how JSON from Go says "not set". */
export function holdsSomething(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return false
  if (typeof value === 'object') return Object.values(value).some(holdsSomething)
  return true
}
