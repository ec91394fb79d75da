/*
 * The private parts, as version 1.17.0 has them. Only what is used is declared.
 */

/** The modules of the library, in a copy of our own. */
export interface Parts {
  readonly Protocol: new (config: object) => PrivateProtocol
  readonly KexInit: new (lists: object) => { lists: PrivateLists }
  readonly handlers: ((protocol: PrivateProtocol, payload: Buffer) => unknown)[]
  readonly constants: {
    readonly SUPPORTED_KEX: readonly string[]
    readonly SUPPORTED_CIPHER: readonly string[]
    readonly SUPPORTED_MAC: readonly string[]
  }
  readonly crypto: {
    readonly CIPHER_INFO: Readonly<Record<string, PrivateCipherInfo>>
    readonly MAC_INFO: Readonly<Record<string, PrivateMacInfo>>
    readonly bindingAvailable: boolean
    readonly init: Promise<void>
    createCipher(config: object): { encrypt(packet: Buffer): void; free(): void }
    createDecipher(config: object): PrivateDecipher
  }
  readonly sendPacket: (protocol: PrivateProtocol, packet: Buffer, bypass?: boolean) => void
  readonly parseKey: (text: string) => PrivateKey | PrivateKey[] | Error
}

/** A cipher as the library describes it. */
export interface PrivateCipherInfo {
  readonly keyLen: number
  readonly ivLen: number
  readonly blockLen: number
  readonly authLen: number
}

/** A MAC as the library describes it. */
export interface PrivateMacInfo {
  readonly len: number
  readonly actualLen: number
  readonly isETM: boolean
}

interface PrivateLists {
  readonly kex: { readonly array: readonly string[]; readonly buffer: Buffer }
}

interface PrivateKey {
  readonly type: string
  getPrivatePEM(): string | null
  getPublicSSH(): Buffer
}

/** One connection in the library. */
export interface PrivateProtocol {
  _offer: { readonly lists: PrivateLists }
  _kex: PrivateExchange | undefined
  _kexinit: Buffer | undefined
  _cipher: { encrypt: (packet: Buffer) => void; allocPacket: (length: number) => Buffer }
  _decipher: PrivateDecipher | undefined
  _identRaw: Buffer
  _remoteIdentRaw: Buffer
  _onPayload: (payload: Buffer) => unknown
  readonly _packetRW: {
    readonly write: {
      alloc(length: number, force?: boolean): Buffer
      allocStart: number
      allocStartKEX: number
    }
  }
  _destruct: unknown
  parse(chunk: Buffer, at: number, end: number): void
  rekey(): void
  cleanup(): void
}

/** Opens packets that come in. */
export interface PrivateDecipher {
  inSeqno: number
  _onPayload: (payload: Buffer) => unknown
  readonly _instance?: { free(): void }
  decrypt(data: Buffer, at: number, end: number): unknown
  free(): void
  /** Null between packets. Where only the tag is missing, it is no copy. */
  readonly _packet?: Uint8Array | null
  _tag?: Buffer
  _mac?: Buffer
  _lenBuf?: Buffer
  _block?: Buffer
}

/** A key exchange, under way or finished. */
export interface PrivateExchange {
  readonly type: string
  readonly sessionID: Buffer | undefined
  readonly negotiated: {
    kex: string
    serverHostKey: string
    cs: { cipher: string; mac: string }
    sc: { cipher: string; mac: string }
  }
  remoteExtInfoEnabled: boolean
  _remoteKexinit: Buffer | undefined
  convertPublicKey: (key: Buffer) => Buffer
  computeSecret: (theirs: Buffer) => Buffer | Error
  getPublicKey: () => Buffer
  start(): void
}
