/** A place in a text, counted from 1. */
export interface JsonPlace {
  readonly line: number
  readonly column: number
  /** What is wrong there, when the text is not JSON. Never quotes the text, which may hold secrets. */
  readonly mistake?: string
}

/** A text nested deeper than this is searched no deeper. */
const mostDepth = 200

/**
 * Where a JSON text stops being JSON; or, when it is JSON, where the value at `path` (`users[3].filters.denied_ip`)
 * begins, or the innermost value around it that is there. `JSON.parse` says either only sometimes, and quotes.
 */
export function placeInJson(text: string, path = ''): JsonPlace {
  let at = 0
  let found = 0

  const space = (): void => {
    while (/[ \t\n\r]/.test(text.charAt(at))) at += 1
  }
  const token = (pattern: RegExp, expected: string): string => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match === null) throw new Mistake(expected)
    at = pattern.lastIndex
    return match[0]
  }
  /** `rest`: what is left of the path below this value; undefined where the path went another way. */
  const value = (rest: string | undefined, depth: number): void => {
    space()
    if (rest !== undefined) found = at
    if (depth > mostDepth) throw new Mistake('fewer levels')
    const first = text.charAt(at)
    if (first === '{') members(rest, depth)
    else if (first === '[') elements(rest, depth)
    else token(first === '"' ? stringPattern : plainPattern, 'a value')
  }
  const members = (rest: string | undefined, depth: number): void => {
    list('}', () => {
      const name = JSON.parse(token(stringPattern, 'a name in double quotes')) as string // the pattern is that of a string
      space()
      token(/:/y, '":"')
      value(below(rest, name), depth + 1)
    })
  }
  const elements = (rest: string | undefined, depth: number): void => {
    let index = 0
    list(']', () => value(below(rest, `[${index++}]`), depth + 1))
  }
  const list = (end: string, one: () => void): void => {
    at += 1
    space()
    if (text.charAt(at) === end) return void (at += 1)
    for (;;) {
      space()
      one()
      space()
      if (token(/[,}\]]/y, `"," or "${end}"`) === ',') continue
      if (text.charAt(at - 1) === end) return
      at -= 1
      throw new Mistake(`"," or "${end}"`)
    }
  }
  try {
    value(path, 0)
    space()
    if (at < text.length) throw new Mistake('the end')
    return placeAt(text, found)
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    return { ...placeAt(text, at), mistake: `expected ${error.message}` }
  }
}

class Mistake extends Error {}

const stringPattern = /"(?:[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y // oxlint-disable-line no-control-regex
const plainPattern = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/y

/** What is left of a path below the member or element that it names first. */
function below(rest: string | undefined, step: string): string | undefined {
  if (rest === undefined || !rest.startsWith(step)) return undefined
  const left = rest.slice(step.length)
  if (left === '' || left.startsWith('[')) return left
  return left.startsWith('.') ? left.slice(1) : undefined
}

function placeAt(text: string, at: number): JsonPlace {
  const before = text.slice(0, at)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: at - lineStart + 1 }
}
