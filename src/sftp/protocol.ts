/** Numbers of the requests of draft-ietf-secsh-filexfer-02, section 3. */
export const requestType = {
  init: 1,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  extended: 200,
} as const

/** Numbers of the replies. */
export const replyType = {
  version: 2,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 201,
} as const

/** The status numbers of version 3. */
export const statusCode = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  unsupported: 8,
} as const

/** A status number of version 3. */
export type StatusCode = (typeof statusCode)[keyof typeof statusCode]

/** Bits of OPEN. */
export const openFlag = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 } as const

/** Bits that say which attributes are present. */
export const attributeFlag = { size: 1, owner: 2, permissions: 4, times: 8, extended: 0x80000000 } as const

/** The version that we speak, whatever the client offers. */
export const protocolVersion = 3

/** Longest packet taken or sent, as OpenSSH has it and as `limits@openssh.com` tells. */
export const maxPacketBytes = 262_144

/** Longest READ answer and WRITE request: a packet less a kilobyte for everything around the data. */
export const maxDataBytes = maxPacketBytes - 1024
