import type { CipherWay } from '../library.ts'
import { openedInPlace } from './in-place-decipher.ts'
import type { Parts } from './private-parts.ts'

/*
 * Single packets, for the test of each cipher at start.
 */

/** Encrypts one packet with keys that mean nothing. */
export function sealPacket(
  parts: Parts,
  cipher: string,
  mac: string,
  sequence: number,
  packet: Buffer,
  way: CipherWay,
): Buffer {
  const written: Uint8Array[] = []
  const { info, macInfo, key, iv, macKey } = testKeys(parts, cipher, mac)
  const made = parts.crypto.createCipher({
    outbound: {
      onWrite: (bytes: Uint8Array) => written.push(bytes),
      seqno: sequence,
      cipherInfo: info,
      cipherKey: key,
      cipherIV: iv,
      macInfo,
      macKey,
      forceNative: way === 'portable',
    },
  })
  const tagRoom = way === 'portable' ? 0 : info.authLen > 0 ? info.authLen : (macInfo?.len ?? 0)
  made.encrypt(Buffer.concat([packet, Buffer.alloc(tagRoom)]))
  made.free()
  return Buffer.concat(written)
}

/** Opens what `sealPacket` made. */
export function openPacket(
  parts: Parts,
  cipher: string,
  mac: string,
  sequence: number,
  sealed: Buffer,
  way: CipherWay,
): Buffer {
  const found: Buffer[] = []
  const { info, macInfo, key, iv, macKey } = testKeys(parts, cipher, mac)
  const decipher = parts.crypto.createDecipher({
    inbound: {
      onPayload: (payload: Buffer) => void found.push(payload),
      seqno: sequence,
      decipherInfo: info,
      decipherKey: key,
      decipherIV: iv,
      macInfo,
      macKey,
      forceNative: way === 'portable',
    },
  })
  const made = way === 'portable' ? decipher : openedInPlace(decipher, info, macInfo)
  const copy = Buffer.from(sealed) // decrypted where it lies
  made.decrypt(copy, 0, copy.length)
  made.free()
  const [payload] = found
  if (payload === undefined) throw new Error('No packet came out')
  return payload
}

/** Keys that mean nothing, the same at every start: what they encrypt can be held against written-down results. */
function testKeys(parts: Parts, cipher: string, mac: string) {
  const info = parts.crypto.CIPHER_INFO[cipher]
  if (info === undefined) throw new Error(`The library has no cipher "${cipher}"`)
  const macInfo = info.authLen > 0 ? undefined : parts.crypto.MAC_INFO[mac]
  const bytes = (length: number, from: number): Buffer =>
    Buffer.from(Array.from({ length }, (_, index) => (from + index * 7) & 0xff))
  return {
    info,
    macInfo,
    key: bytes(info.keyLen, 1),
    iv: bytes(info.ivLen, 50),
    macKey: bytes(macInfo?.len ?? 0, 100),
  }
}
