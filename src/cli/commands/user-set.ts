import type { User } from '../../accounts/user.ts'
import { withAccounts } from '../account-door.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { encryptedPlace } from '../encrypted-place.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'

/** Changes fields of a user. */
export const userSet: CliCommand = {
  arguments: '<name> [field=value...]',
  options: [
    ['--passphrase-file <file>', 'keep the files encrypted; the first line of this file is the passphrase'],
    ['--json', 'print the user as JSON'],
  ],
  examples: [
    'user set ada max_sessions=3 quota_size=10000000000',
    `user set ada 'filters.allowed_ip=["10.0.0.0/8"]' 'permissions./incoming=["upload","list"]'`,
    'user set ada email=null',
    'user set ada --passphrase-file ada.passphrase',
  ],
  async run(input) {
    const [username = '', ...fields] = input.args
    const passphrase = textOption(input, 'passphraseFile')
    const changes = {
      ...Object.fromEntries(fields.map(readField)),
      ...(passphrase !== undefined && { filesystem: encryptedPlace(passphrase) }),
    }
    if (Object.keys(changes).length === 0)
      throw new CommandError(exitCodes.usage, 'Name at least one field to change')
    const user = (await withAccounts(input.configFile, (ask) =>
      ask('user set', { username, changes }),
    )) as User // as the operation answers
    if (flag(input, 'json')) printJson(user)
    else print(`Changed "${username}": ${Object.keys(changes).join(', ')}`)
  },
}

/** A value is JSON where it is JSON, and text otherwise. */
function readField(field: string): [string, unknown] {
  const cut = field.indexOf('=')
  if (cut < 1) throw new CommandError(exitCodes.usage, `"${field}" is not of the form FIELD=VALUE`)
  const text = field.slice(cut + 1)
  try {
    return [field.slice(0, cut), JSON.parse(text)]
  } catch {
    return [field.slice(0, cut), text]
  }
}
