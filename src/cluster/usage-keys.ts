/** What is counted, as one text: a user's or a folder's bytes and files, or a user's bytes sent and fetched. */
export type UsageKey = `${'user' | 'folder' | 'moved'} ${string}`

/** Everything a user's sessions count. */
export function usageKeysOf(username: string, folders: readonly string[]): readonly UsageKey[] {
  return [`user ${username}`, `moved ${username}`, ...folders.map((name): UsageKey => `folder ${name}`)]
}

/** The kind and the name of a key. Throws a `TypeError`. */
export function partsOfKey(key: string): {
  readonly kind: 'user' | 'folder' | 'moved'
  readonly name: string
} {
  const cut = key.indexOf(' ')
  const kind = key.slice(0, cut)
  if (kind !== 'user' && kind !== 'folder' && kind !== 'moved') throw new TypeError('Not the key of a usage')
  return { kind, name: key.slice(cut + 1) }
}
