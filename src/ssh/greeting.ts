/** What a client's first line says. */
export type Greeting =
  | { readonly at: 'incomplete' }
  | { readonly at: 'refused'; readonly reason: string }
  /** The line, without its end, is `SSH-2.0-...`. */
  | { readonly at: 'complete'; readonly version: string }

/** RFC 4253 section 4.2: 255 characters with the line's end. */
const longestLine = 255

/** Reads a client's first line at the start of `bytes`; refuses as soon as it cannot become one (S-20). */
export function parseGreeting(bytes: Buffer): Greeting {
  const begins = prefixes.some((prefix) => {
    const length = Math.min(prefix.length, bytes.length)
    return bytes.subarray(0, length).equals(prefix.subarray(0, length))
  })
  if (!begins) return { at: 'refused', reason: 'not an SSH client' }
  const end = bytes.indexOf(0x0a)
  if (end < 0 && bytes.length < longestLine) return { at: 'incomplete' }
  if (end < 0 || end >= longestLine) return { at: 'refused', reason: 'first line too long' }
  const line = bytes.toString('latin1', 0, bytes[end - 1] === 0x0d ? end - 1 : end)
  if (!/^[\x20-\x7e\x80-\xff]*$/.test(line))
    return { at: 'refused', reason: 'control characters in the first line' }
  return { at: 'complete', version: line.slice(line.indexOf('-', 4) + 1) }
}

const prefixes = [Buffer.from('SSH-2.0-', 'latin1'), Buffer.from('SSH-1.99-', 'latin1')]
