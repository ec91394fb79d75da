import type { Verdict } from '../slots/auth/contract.ts'
import { scopeOf, walkAuthenticators, type WalkResult } from './authenticators.ts'
import { certificateSuffix, checkCertificate, isCertificate, parseCertificate } from './certificate.ts'
import type { KeyProof, OfferedKey } from './login-conversation.ts'
import { questionRecord } from './plugin-question.ts'
import { note, proofOfWalk, refused, type Attempt, type Proof } from './proof.ts'
import type { ProvenKeys } from './proven-keys.ts'
import { KeyError, parsePublicKey, printable, type PublicKey } from './public-key.ts'
import { checkSignature } from './signature.ts'
import { within } from './within.ts'

/** What a plugin said about one key, kept from the query to the proof of the very same key. */
export interface KeyAnswer {
  readonly username: string
  readonly fingerprint: string
  readonly walk: WalkResult
}

/** What a conversation keeps: the one answer, and the key that it parsed last. */
export interface KeyMemory {
  /** Of all conversations. */
  readonly proven: ProvenKeys
  last: KeyAnswer | undefined
  parsed: PublicKey | undefined
}

/** Whether this key may log in as the user and, with a proof, whether the client holds it. The proof is looked at first. */
export async function proveKey(
  attempt: Attempt,
  offered: OfferedKey,
  proof: KeyProof | undefined,
  memory: KeyMemory,
): Promise<Proof> {
  const since = attempt.options.clock.monotonic()
  try {
    checkAlgorithm(attempt, offered.algorithm)
    const certified = isCertificate(offered.blob)
    const certificate = certified ? parseCertificate(offered.blob) : undefined
    const key = certificate?.key ?? parsedKey(memory, offered.blob, proof === undefined)
    checkFits(offered.algorithm, key, certified)
    if (proof !== undefined) {
      const algorithm = plainAlgorithm(offered.algorithm)
      const { securityKey } = checkSignature(key, proof.signedData, proof.signature, {
        algorithm,
        sha1: attempt.options.settings.sha1 === true,
      })
      if (certificate === undefined) memory.proven.keep(key)
      const detail =
        securityKey === undefined ? key.fingerprint : `${key.fingerprint}, counter ${securityKey.counter}`
      note(attempt, since, 'key', 'ok', detail)
    }
    if (certificate === undefined) return await findKey(attempt, key, memory)
    const { authorities, revoked } = attempt.options.certificates()
    const { username, address, options } = attempt
    checkCertificate(certificate, {
      ...{ authorities, revoked, username, address, now: options.clock.now() },
      sha1: options.settings.sha1 === true,
    })
    note(
      attempt,
      since,
      'certificate',
      'ok',
      `"${printable(certificate.keyId)}", serial ${certificate.serial}`,
    )
    if (attempt.stored === undefined)
      return refused('certificate', 'There is no such user', { unknown: true })
    return { proved: true, user: attempt.stored, by: 'certificate', keyFingerprint: key.fingerprint }
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    note(attempt, since, 'key', 'refused', error.message)
    return refused('key', error.message, { unknown: attempt.stored === undefined })
  }
}

/** The proof brings the very bytes that the query brought: they are parsed once, and kept from the one to the other. */
function parsedKey(memory: KeyMemory, blob: Buffer, isQuery: boolean): PublicKey {
  const known = memory.parsed
  const key = known?.blob.equals(blob) === true ? known : (memory.proven.find(blob) ?? parsePublicKey(blob))
  memory.parsed = isQuery ? key : undefined
  return key
}

function checkAlgorithm({ options }: Attempt, algorithm: string): void {
  const { keyAlgorithms, sha1 } = options.settings
  const plain = plainAlgorithm(algorithm)
  if (plain === 'ssh-rsa' && sha1 !== true) throw new KeyError('RSA signatures with SHA-1 are not accepted')
  if (keyAlgorithms !== undefined && !keyAlgorithms.includes(plain) && !keyAlgorithms.includes(algorithm))
    throw new KeyError(`The algorithm "${printable(algorithm)}" is not accepted`)
}

/** `rsa-sha2-256-cert-v01@openssh.com` signs as `rsa-sha2-256`, `sk-...-cert-v01@openssh.com` as `sk-...@openssh.com`. */
function plainAlgorithm(algorithm: string): string {
  if (!algorithm.endsWith(certificateSuffix)) return algorithm
  const plain = algorithm.slice(0, -certificateSuffix.length)
  return plain.startsWith('sk-') ? `${plain}@openssh.com` : plain
}

function checkFits(algorithm: string, key: PublicKey, certified: boolean): void {
  const plain = plainAlgorithm(algorithm)
  const fits =
    key.type === 'ssh-rsa' ? ['ssh-rsa', 'rsa-sha2-256', 'rsa-sha2-512'].includes(plain) : plain === key.type
  if (!fits || certified !== algorithm.endsWith(certificateSuffix))
    throw new KeyError(`The key is not one for "${printable(algorithm)}"`)
}

async function findKey(attempt: Attempt, key: PublicKey, memory: KeyMemory): Promise<Proof> {
  const { options, cache, username } = attempt
  const since = options.clock.monotonic()
  const credential = { kind: 'publickey', value: key.text } as const
  if (attempt.plugins.length > 0) {
    const known = cache.find(username, credential)
    if (known !== undefined) {
      note(attempt, since, 'cache', 'ok')
      return { proved: true, user: known, by: 'cache', keyFingerprint: key.fingerprint }
    }
    const proof = await proofOfWalk(attempt, await askAboutKey(attempt, key, memory), credential)
    if (proof !== undefined) return proof.proved ? { ...proof, keyFingerprint: key.fingerprint } : proof
  }
  const found = findStored(attempt, key)
  note(attempt, since, 'store', found === undefined ? 'ok' : 'refused', found ?? key.fingerprint)
  if (found !== undefined || attempt.stored === undefined)
    return refused('store', found ?? 'There is no such user', { unknown: attempt.stored === undefined })
  return { proved: true, user: attempt.stored, by: 'store', keyFingerprint: key.fingerprint }
}

/** A plugin is asked once about a key: at the query, or at the proof when there was none. */
async function askAboutKey(attempt: Attempt, key: PublicKey, memory: KeyMemory): Promise<WalkResult> {
  const { username, address, signal } = attempt
  const { last } = memory
  // Only for this very key and name: an answer about another key must never reach this login (S-4).
  if (last !== undefined && last.username === username && last.fingerprint === key.fingerprint) {
    memory.last = undefined
    return last.walk
  }
  const since = attempt.options.clock.monotonic()
  const walk = await walkAuthenticators(
    attempt.plugins,
    scopeOf.publickey,
    ({ authenticator, userDetail }): Promise<Verdict> => {
      if (authenticator.checkPublicKey === undefined) throw new Error('It does not check public keys')
      const user = questionRecord(attempt.stored, username, userDetail)
      // SFTPGo ends the line as an authorized-keys file does.
      const question = { username, address, protocol: 'SSH', user, publicKey: `${key.text}\n` }
      return within(authenticator.checkPublicKey(question, { signal }), signal)
    },
    (entry, result, reason) => note(attempt, since, `plugin ${entry.name}`, result, reason),
  )
  memory.last = { username, fingerprint: key.fingerprint, walk }
  return walk
}

/** Why the stored user does not have this key; undefined when it does. */
function findStored({ stored }: Attempt, key: PublicKey): string | undefined {
  if (stored === undefined) return 'There is no such user'
  const [type = '', base64 = ''] = key.text.split(' ')
  let optioned = false
  for (const line of stored.public_keys ?? []) {
    const [first, second] = line.trim().split(/\s+/, 2)
    if (first === type && second === base64) return undefined
    optioned ||= line.includes(base64)
  }
  // A restriction that is ignored would let in whom it keeps out.
  if (optioned) return 'The line of this key has options, which are not supported'
  return 'The user does not have this key'
}
