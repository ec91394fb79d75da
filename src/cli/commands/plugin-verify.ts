import { resolvedEntries } from '../../server/locked-entries.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { printJson, printTable } from '../output.ts'
import { readConfig } from '../read-config.ts'
import { entryNamed } from '../plugin-entry-named.ts'
import { verifyEntries } from '../verify-entries.ts'

/** Hashes the program of every entry, or of one, as a start would, and starts nothing. */
export const pluginVerify: CliCommand = {
  arguments: '[name]',
  options: [['--json', 'print as JSON']],
  examples: ['plugin verify', 'plugin verify ldap'],
  async run(input) {
    const entries = await resolvedEntries(readConfig(input.configFile), { frozen: false })
    const [name] = input.args
    const found = await verifyEntries(name === undefined ? entries : [entryNamed(entries, name)])
    if (flag(input, 'json')) printJson(found)
    else printTable(found.map((row) => [row.name, row.verified ? 'verified' : 'NOT VERIFIED', row.detail]))
    return found.find((row) => !row.verified)?.exitCode ?? exitCodes.ok
  },
}
