import type { PacketCiphers } from '../../native/packet-ciphers.ts'
import type { Offer, OfferNames, SshLibrary } from '../library.ts'
import { hybridName } from '../post-quantum.ts'
import { parseHostKey } from './host-key.ts'
import { checkParts, loadPrivately } from './load-privately.ts'
import type { Parts } from './private-parts.ts'
import { openPacket, sealPacket } from './single-packet.ts'
import { LibraryTransport } from './transport.ts'

/*
 * The door to this folder, the one place that touches ssh2, its private parts included: version exchange, key exchange,
 * packets. Everything above packets (login, channels, guards) is ours. `library-self-test.ts` runs it against itself at
 * start; the architecture test holds that nobody else comes in.
 */

/** Loads a private copy of the library with `ciphers` in the place of its compiled binding. */
export async function openSshLibrary(ciphers: PacketCiphers | undefined): Promise<SshLibrary> {
  const parts = loadPrivately(ciphers)
  checkParts(parts)
  await parts.crypto.init // its own MAC in WebAssembly, for the portable way
  return {
    nativeCiphers: ciphers !== undefined,
    supported: {
      kex: [hybridName, ...parts.constants.SUPPORTED_KEX.filter((name) => !name.includes('group-exchange'))],
      ciphers: parts.constants.SUPPORTED_CIPHER,
      macs: parts.constants.SUPPORTED_MAC,
    },
    createOffer: (names) => createOffer(parts, names),
    createTransport: (options, events) => new LibraryTransport(parts, options, events),
    parseHostKey: (text) => parseHostKey(parts, text),
    sealPacket: (...parameters) => sealPacket(parts, ...parameters),
    openPacket: (...parameters) => openPacket(parts, ...parameters),
  }
}

function createOffer(parts: Parts, names: OfferNames): Offer {
  const lists = { cipher: names.ciphers, mac: names.macs, compress: ['none'], lang: [] }
  const handle = new parts.KexInit({
    kex: names.kex,
    serverHostKey: names.hostKeyAlgorithms,
    cs: lists,
    sc: lists,
  })
  return { names, handle }
}
