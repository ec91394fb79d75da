/** Tells whether a text matches; made once, asked often. */
export type Pattern = (text: string) => boolean

/**
 * A shell pattern with the meaning of Go's `path.Match`, which SFTPGo uses: `*` and `?` stop at a slash, `[a-z]`
 * and `[^a-z]` are classes, a backslash takes the next character as it stands. Undefined for a malformed one.
 *
 * Matching takes time linear in text times pattern at worst, whatever the pattern: no regular expression.
 */
export function compilePattern(pattern: string): Pattern | undefined {
  const tokens = tokensOf(Array.from(pattern))
  return tokens === undefined ? undefined : (text) => matches(tokens, Array.from(text))
}

type Token =
  | { readonly is: 'star' }
  | { readonly is: 'one' }
  | { readonly is: 'literal'; readonly character: string }
  | {
      readonly is: 'class'
      readonly negated: boolean
      readonly ranges: readonly (readonly [string, string])[]
    }

function tokensOf(characters: readonly string[]): readonly Token[] | undefined {
  const tokens: Token[] = []
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? ''
    if (character === '*') tokens.push({ is: 'star' })
    else if (character === '?') tokens.push({ is: 'one' })
    else if (character === '[') {
      const found = classAt(characters, at + 1)
      if (found === undefined) return undefined
      tokens.push(found.token)
      at = found.end
    } else if (character === '\\') {
      at += 1
      const escaped = characters[at]
      if (escaped === undefined) return undefined
      tokens.push({ is: 'literal', character: escaped })
    } else tokens.push({ is: 'literal', character })
  }
  return tokens
}

function classAt(characters: readonly string[], start: number): { token: Token; end: number } | undefined {
  let at = start
  const negated = characters[at] === '^'
  if (negated) at += 1
  const ranges: [string, string][] = []
  while (characters[at] !== ']' || ranges.length === 0) {
    const low = classCharacter(characters, at)
    if (low === undefined) return undefined
    at = low.next
    let high = low
    if (characters[at] === '-') {
      const end = classCharacter(characters, at + 1)
      if (end === undefined) return undefined
      high = end
      at = end.next
    }
    ranges.push([low.character, high.character])
  }
  return { token: { is: 'class', negated, ranges }, end: at }
}

/** One end of a range; `-` and `]` must be escaped there. */
function classCharacter(
  characters: readonly string[],
  at: number,
): { character: string; next: number } | undefined {
  const character = characters[at]
  if (character === undefined || character === '-' || character === ']') return undefined
  if (character !== '\\') return { character, next: at + 1 }
  const escaped = characters[at + 1]
  return escaped === undefined ? undefined : { character: escaped, next: at + 2 }
}

/** Goes back to the last star only: what earlier stars took need never be taken back. */
function matches(tokens: readonly Token[], text: readonly string[]): boolean {
  let token = 0
  let at = 0
  let starToken = -1
  let starAt = 0
  while (at < text.length) {
    const current = tokens[token]
    if (current?.is === 'star') {
      starToken = token
      starAt = at
      token += 1
    } else if (current !== undefined && matchesOne(current, text[at] ?? '')) {
      token += 1
      at += 1
    } else {
      if (starToken < 0 || text[starAt] === '/') return false
      starAt += 1
      at = starAt
      token = starToken + 1
    }
  }
  while (tokens[token]?.is === 'star') token += 1
  return token === tokens.length
}

function matchesOne(token: Token, character: string): boolean {
  switch (token.is) {
    case 'star':
      return false
    case 'one':
      return character !== '/'
    case 'literal':
      return token.character === character
    case 'class': {
      const code = character.codePointAt(0) ?? 0
      const inside = token.ranges.some(
        ([low, high]) => (low.codePointAt(0) ?? 0) <= code && code <= (high.codePointAt(0) ?? 0),
      )
      return character !== '/' && inside !== token.negated
    }
  }
}
