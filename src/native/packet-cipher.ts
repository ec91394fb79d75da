/** Encrypts packets one after another. */
export interface PacketCipher {
  /** Encrypts the packet in place and writes its tag into the room at its end. */
  encrypt(packet: Buffer, sequence: number): void
  free(): void
}
