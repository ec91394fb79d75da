import { scrypt } from 'node:crypto'

/** What keeps these keys apart from keys made of the same passphrase elsewhere. It is part of the format. */
const purpose = 'sftpgo-ts encrypted home, user key, version 1'
/** 16 MiB and some 40 ms: dear for who tries passphrases, unnoticed for who logs in once. */
const cost = { N: 2 ** 14, r: 8, p: 1, maxmem: 64 * 2 ** 20 }

/** The user's key that a passphrase stands for. Takes some 40 ms in the pool: keep what it gives. */
export function userKeyOf(passphrase: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase, purpose, 32, cost, (error, key) => (error === null ? resolve(key) : reject(error)))
  })
}
