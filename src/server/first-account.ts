import { randomInt } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { FirstAccount } from './running-server.ts'

/** Where the account is put and how its password is hashed. */
export interface FirstAccountOptions {
  readonly homes: string
  readonly hash: (password: string) => Promise<string>
  readonly put: (account: {
    readonly username: string
    readonly password: string
    readonly home: string
  }) => Promise<unknown>
}

/** Letters and digits that cannot be mistaken for each other. */
const alphabet = 'abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRSTUVWXYZ2345679'
/** 16 of 55 characters: 92 bits. */
const length = 16

/** Makes the account `demo` with a random password, of which only the hash is kept. */
export async function makeFirstAccount({ homes, hash, put }: FirstAccountOptions): Promise<FirstAccount> {
  const username = 'demo'
  const password = Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
  const home = join(homes, username)
  mkdirSync(home, { recursive: true, mode: 0o700 })
  await put({ username, password: await hash(password), home })
  return { username, password, home }
}
