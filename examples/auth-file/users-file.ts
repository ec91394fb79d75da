import { scrypt, timingSafeEqual } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { promisify } from 'node:util'

/** A user of the file. */
export interface FileUser {
  /** `SALT:HASH`, both in hex: what hash-password.mjs prints. */
  readonly password: string
  readonly home: string
  readonly permissions: readonly string[]
}

/** The users of a file, read again whenever the file has changed. */
export interface UsersFile {
  find(username: string): Promise<FileUser | undefined>
  /** Takes the same time for a user that does not exist. */
  isPassword(user: FileUser | undefined, password: string): Promise<boolean>
}

const hash = promisify<string, Buffer, number, Buffer>(scrypt)
const nobody = `${'00'.repeat(16)}:${'00'.repeat(32)}`

/** Opens a users file; a file that is not there or is no good makes every question fail, until it is mended. */
export function openUsersFile(file: string): UsersFile {
  let [readAt, users] = ['', new Map<string, FileUser>()]
  return {
    async find(username) {
      const { mtimeMs, size, ino } = await stat(file)
      const version = `${mtimeMs} ${size} ${ino}`
      if (version !== readAt) [users, readAt] = [parseUsers(await readFile(file, 'utf8')), version]
      return users.get(username)
    },
    async isPassword(user, password) {
      const [salt = '', wanted = ''] = (user?.password ?? nobody).split(':')
      const found = await hash(password, Buffer.from(salt, 'hex'), 32)
      return timingSafeEqual(found, Buffer.from(wanted, 'hex')) && user !== undefined
    },
  }
}

function parseUsers(text: string): Map<string, FileUser> {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('It is not an object of users')
  return new Map(
    Object.entries(value).map(([name, user]: [string, unknown]) => {
      if (!isUser(user)) throw new Error(`The user "${name}" lacks a password, a home or permissions`)
      return [name, user]
    }),
  )
}

function isUser(value: unknown): value is FileUser {
  if (typeof value !== 'object' || value === null) return false
  const { password, home, permissions } = value as Readonly<Record<string, unknown>> // an object, as just seen
  const hashed = typeof password === 'string' && /^[0-9a-f]{32}:[0-9a-f]{64}$/.test(password)
  const listed = Array.isArray(permissions) && permissions.every((one) => typeof one === 'string')
  return hashed && typeof home === 'string' && home.startsWith('/') && listed
}
