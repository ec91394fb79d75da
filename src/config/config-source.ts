import { type Node, type ParseError, findNodeAtLocation, parseTree, printParseErrorCode } from 'jsonc-parser'
import type { Place, Problem, SettingPath } from './problems.ts'

/** A configuration text with the places of its values. */
export interface ConfigSource {
  readonly file: string
  readonly text: string
  /** What the text says; undefined when it says nothing that can be used. */
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** Where the value at `path` stands, or its key; for what is missing, the nearest thing around it. */
  placeOf(path: SettingPath, options?: { readonly key?: boolean }): Place
  /** Whether the text itself gives a value at `path`. */
  has(path: SettingPath): boolean
}

/** Reads JSON with comments and trailing commas. Every syntax error and every repeated key is a problem with its place. */
export function parseConfigSource(file: string, raw: string): ConfigSource {
  const text = raw.startsWith('\uFEFF') ? ` ${raw.slice(1)}` : raw
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { allowTrailingComma: true, disallowComments: false })
  const lines = lineStarts(text)
  const at = (offset: number): Place => ({ in: 'file', file, ...position(lines, offset) })
  const problems: Problem[] = firstOfEachLine(errors, lines).map((error) => ({
    code: 'syntax',
    path: [],
    place: at(error.offset),
    message: syntaxMessage(printParseErrorCode(error.error)),
  }))
  if (tree === undefined && problems.length === 0) {
    problems.push({ code: 'syntax', path: [], place: at(0), message: 'the file is empty; the least is {}' })
  }
  const value =
    tree === undefined
      ? undefined
      : valueOf(tree, [], (path, node) => problems.push(repeated(path, at(node.offset))))

  return {
    file,
    text,
    value,
    problems,
    has: (path) => tree !== undefined && findNodeAtLocation(tree, [...path]) !== undefined,
    placeOf(path, options = {}) {
      if (tree === undefined) return at(0)
      for (let length = path.length; length >= 0; length -= 1) {
        const node = findNodeAtLocation(tree, path.slice(0, length))
        if (node === undefined) continue
        const key = options.key === true && length === path.length ? node.parent?.children?.[0] : undefined
        return at((node.parent?.type === 'property' && key !== undefined ? key : node).offset)
      }
      return at(0)
    },
  }
}

/** The parser goes on after a mistake and stumbles over its traces: one message for a line says enough. */
function firstOfEachLine(errors: readonly ParseError[], lines: readonly number[]): ParseError[] {
  const seen = new Set<number>()
  return errors.filter(({ offset }) => {
    const { line } = position(lines, offset)
    return seen.has(line) ? false : seen.add(line)
  })
}

function repeated(path: SettingPath, place: Place): Problem {
  return { code: 'conflict', path, place, message: 'is given twice in one place; keep one of them' }
}

function valueOf(
  node: Node,
  path: SettingPath,
  onRepeated: (path: SettingPath, node: Node) => void,
): unknown {
  if (node.type === 'array')
    return (node.children ?? []).map((child, index) => valueOf(child, [...path, index], onRepeated))
  if (node.type !== 'object') return node.value
  const entries = new Map<string, unknown>()
  for (const property of node.children ?? []) {
    const [key, value] = property.children ?? []
    if (key === undefined || value === undefined) continue
    const name = String(key.value)
    if (entries.has(name)) onRepeated([...path, name], key)
    entries.set(name, valueOf(value, [...path, name], onRepeated))
  }
  // fromEntries defines its keys, so that "__proto__" is a key like any other.
  return Object.fromEntries(entries)
}

const syntaxMessages: Readonly<Record<string, string>> = {
  InvalidSymbol: 'this is neither a string in double quotes, a number, true, false nor null',
  InvalidNumberFormat: 'this is not a number',
  PropertyNameExpected: 'a key in double quotes is expected here',
  ValueExpected: 'a value is expected here',
  ColonExpected: 'a colon is expected after the key',
  CommaExpected: 'a comma is missing before this',
  CloseBraceExpected: 'a closing } is missing',
  CloseBracketExpected: 'a closing ] is missing',
  EndOfFileExpected: 'the file should end here',
  UnexpectedEndOfString: 'this text has no closing quote',
  UnexpectedEndOfComment: 'this comment is not closed',
  InvalidCharacter: 'this character may not stand in a text; write it as \\uNNNN',
  InvalidEscapeCharacter: 'this escape is unknown; a backslash is written \\\\',
  InvalidUnicode: 'this \\u escape is not complete',
}

function syntaxMessage(name: string): string {
  return syntaxMessages[name] ?? 'this cannot be read as JSON'
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

function position(starts: readonly number[], offset: number): { line: number; column: number } {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
}
