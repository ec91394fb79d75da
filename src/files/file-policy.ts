/** What the operator allows, whoever the person is. */
export interface FilePolicy {
  /** 0 writes in place, 1 (default) under a hidden name until complete, 2 as 1 but keeps what was cut off where nothing is lost. */
  readonly uploadMode: 0 | 1 | 2
  /** An upload is on the disk before it is said to be complete; default false. */
  readonly durable: boolean
  /** Whether links may be made; default neither. Reading and following existing ones needs no leave. */
  readonly symbolicLinks: boolean
  readonly hardLinks: boolean
  /** Whether owners may be changed; default false. */
  readonly changeOwner: boolean
  /** Bits that a client may set on a file; default 0o777: no setuid, setgid, sticky. */
  readonly modeMask: number
  /** Bits taken off the mode of what is made; default 0. */
  readonly umask: number
  /** SFTPGo's `setstat_mode`: 1 ignores modes, owners and times without a word; default 0. */
  readonly setstatMode: 0 | 1 | 2
  /** SHA-256 of uploads, computed while they stream, told in events; default false. */
  readonly checksum: boolean
}

/** What holds when the operator says nothing. */
export const defaultFilePolicy: FilePolicy = {
  uploadMode: 1,
  durable: false,
  symbolicLinks: false,
  hardLinks: false,
  changeOwner: false,
  modeMask: 0o777,
  umask: 0,
  setstatMode: 0,
  checksum: false,
}
