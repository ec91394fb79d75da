/** Encrypts packets one after another. */
export interface PacketCipher {
  /** Encrypts the packet in place and writes its tag into the room at its end. */
  encrypt(packet: Buffer, sequence: number): void
  free(): void
}

/** Opens packets where they lie: four bytes of length, a body, and a tag that proves both. */
export interface PacketOpener {
  readonly tagLength: number
  /** How long the body is, by the four bytes at `at`, which stay as they are. Ask once for each packet. */
  lengthAt(bytes: Buffer, at: number, sequence: number): number
  /** Proves the packet at `at` and decrypts its body; throws when the tag does not fit. */
  openAt(bytes: Buffer, at: number, length: number, sequence: number): void
  free(): void
}

/** Throws unless `bytes` have all of a packet at `at`: C looks no further than this. */
export function checkPacket(bytes: Buffer, at: number, length: number, tagLength: number): void {
  if (at < 0 || length < 0 || at + 4 + length + tagLength > bytes.length)
    throw new Error('The packet is too short')
}
