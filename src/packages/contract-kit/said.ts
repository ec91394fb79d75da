/** Looks for secrets in what was written, as they are and in the usual disguises. Says how one was shown. */
export function findSecrets(said: Buffer, secrets: readonly string[]): string | undefined {
  for (const secret of secrets) {
    if (secret.length < 6) continue
    const disguises: readonly (readonly [string, string | Buffer])[] = [
      ['as it is', secret],
      ['in base64', Buffer.from(secret).toString('base64').replace(/=+$/, '').slice(0, -1)],
      ['in hexadecimal', Buffer.from(secret).toString('hex')],
      ['as JSON', JSON.stringify(secret).slice(1, -1)],
      ['in a URL', encodeURIComponent(secret)],
    ]
    const found = disguises.find(([, text]) => said.includes(text))
    if (found !== undefined) return found[0]
  }
  return undefined
}

/**
 * The first line that some host cannot read: hosts in Go die of JSON whose `@message`, `@level` or `@timestamp` is no
 * text, and cut lines above 64 KiB in pieces. Undefined: all are fine.
 */
export function unreadableLogLine(log: Buffer): string | undefined {
  for (const line of log.toString('utf8').split('\n')) {
    if (!line.startsWith('{')) continue
    if (Buffer.byteLength(line) > 65_536) return 'One of its log lines is longer than 64 KiB'
    const value = parsed(line)
    if (typeof value !== 'object' || value === null) continue
    for (const [key, item] of Object.entries(value)) {
      if (['@message', '@level', '@timestamp'].includes(key) && typeof item !== 'string')
        return `The "${key}" of one of its log lines is no text: a host in Go dies of it`
    }
  }
  return undefined
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
