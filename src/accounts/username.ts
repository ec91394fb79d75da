/** Longest name of a user, group or folder, in characters: SFTPGo's. */
const mostCharacters = 255

/** SFTPGo's bits: what may be typed for a name, and what it becomes. */
export const namingRules = { anyCharacters: 1, lowerCase: 2, trimmed: 4 } as const

/** The name that `typed` means under SFTPGo's naming rules: trimmed, in lower case, or as it is. */
export function nameMeant(typed: string, rules: number): string {
  const trimmed = (rules & namingRules.trimmed) === 0 ? typed : typed.trim()
  return (rules & namingRules.lowerCase) === 0 ? trimmed : trimmed.toLowerCase()
}

/** Why the naming rules do not allow `name`, beside what no name may be; undefined when they do. */
export function namingProblem(name: string, rules: number): string | undefined {
  if ((rules & namingRules.anyCharacters) !== 0 || /^[a-zA-Z0-9_.~-]+$/.test(name)) return undefined
  return 'has other characters than a-z A-Z 0-9 - _ . ~'
}

/**
 * Why `name` cannot be the name of an account; undefined when it can.
 *
 * Names become paths (`%username%`), log text and plugin arguments, so everything that could mean something
 * there is refused: separators, dots alone, control characters, and characters that hide or reorder text.
 */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name.length > mostCharacters) return `is longer than ${mostCharacters} characters`
  if (name === '.' || name === '..') return 'is a directory of every directory'
  if (name.startsWith('-')) return 'begins with a dash'
  if (name !== name.trim()) return 'begins or ends with a space'
  if (/[/\\]/.test(name)) return 'contains a slash or backslash'
  if (name.includes('%username%') || name.includes('%role%')) return 'contains a placeholder'
  // Control, format (zero width, bidi), surrogates alone, private use, line and paragraph separators.
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029\ufffd]/u.test(name))
    return 'contains invisible or control characters'
  return undefined
}
