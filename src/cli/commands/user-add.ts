import { readFileSync } from 'node:fs'
import type { User } from '../../accounts/user.ts'
import { withAccounts } from '../account-door.ts'
import { type CliCommand, type CommandInput, flag, textOption } from '../command.ts'
import { print, printJson } from '../output.ts'
import { encryptedPlace } from '../encrypted-place.ts'
import { readPassword } from '../read-password.ts'

/** Makes a user. */
export const userAdd: CliCommand = {
  arguments: '<name>',
  options: [
    ['--home <folder>', 'where the files lie; default: a folder of this name among the homes'],
    ['--no-password', 'the user logs in with keys alone'],
    ['--key <file>', 'file with one public key'],
    ['--permissions <list>', 'what is allowed everywhere, with commas', '*'],
    ['--group <name>', 'primary group'],
    ['--passphrase-file <file>', 'keep the files encrypted; the first line of this file is the passphrase'],
    ['--json', 'print as JSON'],
  ],
  examples: [
    'user add ada',
    'user add eve --passphrase-file eve.passphrase',
    'user add ada --home /srv/ada --key ada.pub --no-password',
  ],
  async run(input) {
    const [username = ''] = input.args
    const password = input.options['password'] === false ? undefined : await readPassword()
    const user = (await withAccounts(input.configFile, (ask) =>
      ask('user add', { username, record: recordOf(input), ...(password !== undefined && { password }) }),
    )) as User // as the operation answers
    if (flag(input, 'json')) printJson(user)
    else print(`Made "${user.username}" with the home ${user.home_dir}`)
  },
}

function recordOf(input: CommandInput): Record<string, unknown> {
  const [home, key, group] = ['home', 'key', 'group'].map((name) => textOption(input, name))
  const passphrase = textOption(input, 'passphraseFile')
  return {
    permissions: { '/': (textOption(input, 'permissions') ?? '*').split(',').map((one) => one.trim()) },
    ...(home !== undefined && { home_dir: home }),
    ...(key !== undefined && { public_keys: [readFileSync(key, 'utf8').trim()] }),
    ...(passphrase !== undefined && { filesystem: encryptedPlace(passphrase) }),
    ...(group !== undefined && { groups: [{ name: group, type: 1 }] }),
  }
}
