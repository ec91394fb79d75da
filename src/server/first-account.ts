import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'
import { parseUser } from '../accounts/parse-user.ts'
import type { Config } from '../config/load-config.ts'
import type { Accounts } from '../accounts/open-accounts.ts'
import type { FirstAccount } from './running-server.ts'
import { stateLayout } from './state-layout.ts'

/** Letters and digits that cannot be mistaken for each other. */
const alphabet = 'abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRSTUVWXYZ2345679'
/** 16 of 55 characters: 92 bits. */
const length = 16

/**
 * Makes the account `demo` with a random password where nobody could log in yet; only the hash is kept. Somebody who
 * removes it, or the last user, does not find it back after the next start.
 */
export async function makeFirstAccount(
  config: Config,
  { store, passwords, hadUsers }: Pick<Accounts, 'store' | 'passwords' | 'hadUsers'>,
): Promise<FirstAccount | undefined> {
  const othersDecide = config.settings.plugins.some(({ type, enabled }) => type === 'auth' && enabled)
  if (!store.isEmpty || hadUsers() || othersDecide || !store.canChange('demo')) return undefined
  const username = 'demo'
  const password = Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
  const home = join(stateLayout(config).homes, username)
  makeFolders(home, 0o700)
  const record = {
    username,
    status: 1,
    home_dir: home,
    permissions: { '/': ['*'] },
    password: await passwords.hash(password),
  }
  await store.putUser(parseUser(record).value)
  return { username, password, home }
}
