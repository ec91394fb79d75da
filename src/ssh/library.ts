import type { DisconnectReason } from './messages.ts'

/** The part of the SSH library that we use. */
export interface SshLibrary {
  /** Whether our own packet ciphers are in place. */
  readonly nativeCiphers: boolean
  /** The names of algorithms that the library can do; `hybridName` is ours and included. */
  readonly supported: {
    readonly kex: readonly string[]
    readonly ciphers: readonly string[]
    readonly macs: readonly string[]
  }
  createOffer(names: OfferNames): Offer
  createTransport(options: TransportOptions, events: TransportEvents): Transport
  /** Reads a private key in OpenSSH's, PEM or PuTTY's form; throws with the reason when it is none. */
  parseHostKey(text: string): HostKey
  /** Encrypts one packet with the packet ciphers in place, or with the library's JavaScript. */
  sealPacket(cipher: string, mac: string, sequence: number, packet: Buffer, way: CipherWay): Buffer
  /** Opens what `sealPacket` made and returns the payload; throws when it does not fit. */
  openPacket(cipher: string, mac: string, sequence: number, sealed: Buffer, way: CipherWay): Buffer
}

/** Which implementation of a cipher is meant. */
export type CipherWay = 'in-place' | 'portable'

/** What we offer, in order. */
export interface OfferNames {
  readonly kex: readonly string[]
  readonly hostKeyAlgorithms: readonly string[]
  readonly ciphers: readonly string[]
  readonly macs: readonly string[]
}

/** An offer in the library's form; one serves all connections. */
export interface Offer {
  readonly names: OfferNames
  /** The library's object; opaque outside `ssh2`. */
  readonly handle: object
}

/** A private key that proves who this server is. */
export interface HostKey {
  /** `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256` ... */
  readonly type: string
  /** The public key as SSH sends it. */
  readonly publicBlob: Buffer
  /** Signs `data`; the result is a signature blob with its algorithm's name. */
  sign(data: Buffer, algorithm: string): Buffer
}

/** What was agreed on. */
export interface Negotiated {
  readonly kex: string
  readonly hostKeyAlgorithm: string
  readonly cipherIn: string
  readonly cipherOut: string
}

/** How one connection's transport is set up. */
export interface TransportOptions {
  readonly side: 'server' | 'client'
  /** What we call ourselves, without `SSH-2.0-`. Already sent by the caller. */
  readonly software: string
  readonly offer: Offer
  readonly hostKeys: readonly HostKey[]
  /** The value of `server-sig-algs`: which signatures of users we take. */
  readonly signatureAlgorithms: readonly string[]
  /** Bytes in both directions after which a new key exchange is started. */
  readonly rekeyBytes: number
  /** Key exchanges a peer may start before `allowRekeys`. */
  readonly firstExchangesOnly: boolean
  /** Where packets are made; without it, every packet gets memory of its own. */
  readonly memory?: PacketMemory
}

/** Memory for outgoing packets: each is made in the room that `allocate` gives, and written before the next one. */
export interface PacketMemory {
  allocate(length: number): Buffer
  /** Random bytes into `packet`, for its padding. */
  fillPadding(packet: Buffer, at: number, length: number): void
}

/** What a transport tells. */
export interface TransportEvents {
  /** Bytes for the socket. */
  write(bytes: Uint8Array): void
  /** A message that is not part of a key exchange. A view on memory that is not used again. */
  payload(payload: Buffer): void
  /** A key exchange is complete. */
  exchanged(first: boolean, negotiated: Negotiated): void
  /** The peer said goodbye. */
  disconnected(reason: number, text: string): void
  /** The peer broke the protocol; it has been told, and nothing more can be sent or received. */
  failed(error: Error): void
}

/** Messages in and out over one connection, encrypted as agreed. */
export interface Transport {
  /** Bytes from the socket. Never throws. */
  receive(chunk: Buffer): void
  send(payload: Buffer): void
  /**
   * Room for a message of `length` bytes, which begins at `start` of it. Hand it to `commit` in the same turn:
   * it is encrypted where it lies.
   */
  begin(length: number): Buffer
  readonly start: number
  /** As many bytes as a packet with a message of `length` takes; 0 where packets cannot be made in one's own memory. */
  packetBytes(length: number): number
  /** As `begin`, in memory of `packetBytes` bytes that follows what was committed before it. */
  beginIn(packet: Buffer, length: number): void
  /** `moreFollow`: packets lie in memory behind this one, so nothing of our own comes in between. */
  commit(packet: Buffer, moreFollow?: boolean): void
  /** Starts a key exchange unless one is under way. */
  rekey(): void
  /** From now on the peer, too, may start key exchanges. */
  allowRekeys(): void
  /** Whether a key exchange is under way: messages are then queued. */
  readonly exchanging: boolean
  /** The beginning of a packet has arrived, which may still be looked at where it was received. */
  readonly holdsPart: boolean
  /** Packets are decrypted where they were received; the portable ciphers make copies instead. */
  readonly inPlace: boolean
  /** Bytes queued until the exchange is complete. */
  readonly heldBytes: number
  readonly sessionId: Buffer
  /** The number of the last packet received, for UNIMPLEMENTED. */
  readonly lastSequence: number
  /** Says goodbye with a reason; `close` comes next. */
  disconnect(reason: DisconnectReason, text: string): void
  /** Frees keys and ciphers; nothing works after it. */
  close(): void
}

/** The names under which a host key can be asked for. */
export function hostKeyAlgorithms(key: HostKey): readonly string[] {
  return key.type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] : [key.type]
}
