import * as crypto from 'node:crypto'
import { createHash, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'

/** The exchange that a quantum computer does not break: ML-KEM-768 joined with X25519. */
export const hybridName = 'mlkem768x25519-sha256'

const encapsulationKeyLength = 1184
const ciphertextLength = 1088
const curveKeyLength = 32

/** What answers the first message of a hybrid exchange. */
export interface HybridAnswer {
  /** What the client is sent. */
  readonly reply: Buffer
  /** The shared secret, as the hash takes it: a string, not a number. */
  readonly secret: Buffer
}

/** Answers a client's first message (draft-ietf-sshm-mlkem-hybrid-kex); throws when it is not one. */
export function answerHybrid(init: Buffer): HybridAnswer {
  if (init.length !== encapsulationKeyLength + curveKeyLength)
    throw new Error('The first message of the exchange has a wrong length')
  const lattice = encapsulate(init.subarray(0, encapsulationKeyLength))
  const own = generateKeyPairSync('x25519')
  const curve = curveSecret(own.privateKey, init.subarray(encapsulationKeyLength))
  return {
    reply: Buffer.concat([lattice.ciphertext, curveBytes(own.publicKey)]),
    secret: createHash('sha256').update(lattice.secret).update(curve).digest(),
  }
}

/** The client's side, for the self-test at start: its first message, and what it makes of the answer. */
export function beginHybrid(): { readonly init: Buffer; finish(reply: Buffer): Buffer } {
  const lattice = ml_kem768.keygen()
  const own = generateKeyPairSync('x25519')
  return {
    init: Buffer.concat([lattice.publicKey, curveBytes(own.publicKey)]),
    finish(reply) {
      if (reply.length !== ciphertextLength + curveKeyLength) throw new Error('The answer has a wrong length')
      const secret = ml_kem768.decapsulate(reply.subarray(0, ciphertextLength), lattice.secretKey)
      const curve = curveSecret(own.privateKey, reply.subarray(ciphertextLength))
      return createHash('sha256').update(secret).update(curve).digest()
    },
  }
}

/** How Node's own ML-KEM says it (24.7 and later); its types come with newer @types/node. */
type NodeEncapsulate = (key: crypto.KeyObject) => { sharedKey: Buffer; ciphertext: Buffer }

function encapsulate(key: Buffer): { readonly ciphertext: Buffer; readonly secret: Buffer } {
  const own = nodeEncapsulate()
  if (own === undefined) {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(key)
    return { ciphertext: Buffer.from(cipherText), secret: Buffer.from(sharedSecret) }
  }
  const spki = Buffer.concat([latticeKeyHeader, key])
  const { ciphertext, sharedKey } = own(createPublicKey({ key: spki, type: 'spki', format: 'der' }))
  return { ciphertext: Buffer.from(ciphertext), secret: Buffer.from(sharedKey) }
}

function nodeEncapsulate(): NodeEncapsulate | undefined {
  if (!('encapsulate' in crypto) || typeof crypto.encapsulate !== 'function') return undefined
  // A function of this name has this signature: Node's documentation of crypto.encapsulate.
  return crypto.encapsulate as NodeEncapsulate
}

/** DER of a SubjectPublicKeyInfo up to the 1184 bytes of an ML-KEM-768 key. */
const latticeKeyHeader = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex')
/** The same for the 32 bytes of an X25519 key. */
const curveKeyHeader = Buffer.from('302a300506032b656e032100', 'hex')

/** Throws for a peer's key of low order: OpenSSL refuses an all-zero secret (RFC 7748 section 6.1). */
function curveSecret(privateKey: crypto.KeyObject, peer: Buffer): Buffer {
  const spki = Buffer.concat([curveKeyHeader, peer])
  return diffieHellman({
    privateKey,
    publicKey: createPublicKey({ key: spki, type: 'spki', format: 'der' }),
  })
}

function curveBytes(key: crypto.KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(-curveKeyLength)
}
