/** A stored password hash whose form is known and whose cost this server is willing to pay. */
export type PasswordHash =
  | {
      readonly kind: 'argon2id'
      readonly text: string
      readonly memory: number
      readonly iterations: number
      readonly parallelism: number
    }
  | { readonly kind: 'bcrypt'; readonly text: string; readonly cost: number }
  | {
      readonly kind: 'pbkdf2'
      readonly digest: 'sha1' | 'sha256' | 'sha512'
      readonly iterations: number
      readonly salt: Buffer
      readonly key: Buffer
    }
  | { readonly kind: 'crypt'; readonly text: string }
  | { readonly kind: 'digest'; readonly digest: 'md5' | 'sha256' | 'sha512'; readonly key: Buffer }

/** Why a stored hash is not used. */
export interface UnusableHash {
  readonly kind: 'unusable'
  readonly reason: string
}

// An imported hash names its own cost, so a bad dump could ask for all memory or for hours of one core.
const most = {
  argonMemoryKiB: 256 * 1024,
  argonIterations: 16,
  argonParallelism: 16,
  bcryptCost: 15,
  /** Blocks of output times iterations: about two seconds. */
  pbkdf2Work: 4_000_000,
  cryptRounds: 1_000_000,
  textLength: 1024,
}

/** Whether `text` has the form of a hash rather than of a password, so that it is stored as it is. */
export function looksHashed(text: string): boolean {
  return /^(\$argon2id\$|\$2[abxy]?\$|\$pbkdf2-|\$1\$|\$apr1\$|\$5\$|\$6\$|\$y\$|\{(MD5|SHA256|SHA512|PBKDF2_SHA256)\})/.test(
    text,
  )
}

/** Reads a stored hash in any of the forms SFTPGo imports. What is unknown, malformed or too costly is unusable, with the reason. */
export function parsePasswordHash(text: string): PasswordHash | UnusableHash {
  if (text.length > most.textLength) return unusable('longer than any known hash')
  if (text.startsWith('$argon2id$')) return parseArgon2(text)
  if (/^\$2[abxy]?\$/.test(text)) return parseBcrypt(text)
  if (text.startsWith('$pbkdf2-')) return parsePbkdf2(text)
  if (text.startsWith('{PBKDF2_SHA256}')) return parse389Directory(text)
  if (/^\$(1|apr1|5|6)\$/.test(text)) return parseCrypt(text)
  if (text.startsWith('$y$')) return unusable('yescrypt is not supported')
  if (/^\{(MD5|SHA256|SHA512)\}/.test(text)) return parseDigest(text)
  return unusable('not a known form of hash')
}

function parseArgon2(text: string): PasswordHash | UnusableHash {
  const shape =
    /^\$argon2id\$v=19\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})$/
  const match = shape.exec(text)
  if (match === null) return unusable('malformed argon2id hash')
  const [memory, iterations, parallelism] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (
    memory > most.argonMemoryKiB ||
    iterations > most.argonIterations ||
    parallelism > most.argonParallelism
  )
    return unusable('argon2id hash with a cost above the limit')
  if (iterations < 1 || parallelism < 1 || memory < 8 * parallelism)
    return unusable('malformed argon2id hash')
  return { kind: 'argon2id', text, memory, iterations, parallelism }
}

function parseBcrypt(text: string): PasswordHash | UnusableHash {
  const match = /^\$2[abxy]?\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text)
  if (match === null) return unusable('malformed bcrypt hash')
  const cost = Number(match[1])
  if (cost < 4) return unusable('malformed bcrypt hash')
  if (cost > most.bcryptCost) return unusable('bcrypt hash with a cost above the limit')
  return { kind: 'bcrypt', text, cost }
}

function parsePbkdf2(text: string): PasswordHash | UnusableHash {
  const match =
    /^\$pbkdf2-(b64salt-)?(sha1|sha256|sha512)\$(\d{1,10})\$([^$]{1,512})\$([A-Za-z0-9+/=]{1,684})$/.exec(
      text,
    )
  if (match === null) return unusable('malformed pbkdf2 hash')
  const [, encoded, digest, iterations, salt = '', key = ''] = match
  return pbkdf2({
    digest: digest as 'sha1' | 'sha256' | 'sha512', // one of the three alternatives of the pattern
    iterations: Number(iterations),
    salt: Buffer.from(salt, encoded === undefined ? 'utf8' : 'base64'),
    key: Buffer.from(key, 'base64'),
  })
}

/** 389 Directory Server: base64 of four bytes of iterations, 64 of salt, 256 of key. */
function parse389Directory(text: string): PasswordHash | UnusableHash {
  const bytes = Buffer.from(text.slice('{PBKDF2_SHA256}'.length), 'base64')
  if (bytes.length !== 4 + 64 + 256) return unusable('malformed 389 Directory Server hash')
  return pbkdf2({
    digest: 'sha256',
    iterations: bytes.readUInt32BE(0),
    salt: bytes.subarray(4, 68),
    key: bytes.subarray(68),
  })
}

function pbkdf2(parts: Omit<PasswordHash & { kind: 'pbkdf2' }, 'kind'>): PasswordHash | UnusableHash {
  const blockBytes = { sha1: 20, sha256: 32, sha512: 64 }[parts.digest]
  if (parts.iterations < 1 || parts.key.length < 8) return unusable('malformed pbkdf2 hash')
  if (Math.ceil(parts.key.length / blockBytes) * parts.iterations > most.pbkdf2Work)
    return unusable('pbkdf2 hash with a cost above the limit')
  return { kind: 'pbkdf2', ...parts }
}

function parseCrypt(text: string): PasswordHash | UnusableHash {
  const md5 = /^\$(1|apr1)\$[^$:\s]{0,8}\$[./A-Za-z0-9]{22}$/
  const sha = /^\$([56])\$(?:rounds=(\d{1,10})\$)?[^$:\s]{0,16}\$[./A-Za-z0-9]{43,86}$/
  if (md5.test(text)) return { kind: 'crypt', text }
  const match = sha.exec(text)
  if (match === null) return unusable('malformed crypt hash')
  if (Number(match[2] ?? 5000) > most.cryptRounds)
    return unusable('crypt hash with more rounds than the limit')
  return { kind: 'crypt', text }
}

function parseDigest(text: string): PasswordHash | UnusableHash {
  const match = /^\{(MD5|SHA256|SHA512)\}([0-9a-f]+)$/.exec(text)
  const digest = ({ MD5: 'md5', SHA256: 'sha256', SHA512: 'sha512' } as const)[
    match?.[1] as 'MD5' | 'SHA256' | 'SHA512' // one of the three alternatives, or undefined, which finds nothing
  ]
  const key = Buffer.from(match?.[2] ?? '', 'hex')
  if (match === null || key.length !== { md5: 16, sha256: 32, sha512: 64 }[digest])
    return unusable('malformed digest')
  return { kind: 'digest', digest, key }
}

function unusable(reason: string): UnusableHash {
  return { kind: 'unusable', reason }
}
