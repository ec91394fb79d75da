import { createChaChaCiphers, type ChaChaCiphers } from './chacha-ciphers.ts'
import { createGcmCiphers, type GcmCiphers } from './gcm-ciphers.ts'
import { native, type Native } from './library.ts'
import { createMacCiphers, type MacCiphers } from './mac-ciphers.ts'
import { openOpenSsl } from './openssl.ts'

/**
 * Packet ciphers over the process's own OpenSSL, in place, without a compiler.
 *
 * The six classes have the shape of the binding that the SSH library would compile: a packet is a length of four
 * bytes, a body, and room for the tag behind it. Undefined where there is no native code or a function is missing.
 */
export function nativePacketCiphers(from: Native = native()): PacketCiphers | undefined {
  if (!from.works || from.crypto === undefined) return undefined
  const ssl = openOpenSsl(from.crypto)
  if (ssl === undefined) return undefined
  return { ...createGcmCiphers(ssl), ...createChaChaCiphers(ssl), ...createMacCiphers(ssl) }
}

/** The classes by the names under which the SSH library looks for them. */
export interface PacketCiphers extends GcmCiphers, ChaChaCiphers, MacCiphers {}
