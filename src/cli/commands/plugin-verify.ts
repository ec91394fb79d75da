import { saidOf } from '../../packages/revocations.ts'
import { resolvedEntries } from '../../server/locked-entries.ts'
import { revokedEntries } from '../../server/revoked-packages.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { printJson, printTable } from '../output.ts'
import { readConfig } from '../read-config.ts'
import { entryNamed } from '../plugin-entry-named.ts'
import { type VerifiedEntry, verifyEntries } from '../verify-entries.ts'

/** Hashes the program of every entry, or of one, as a start would, and starts nothing. */
export const pluginVerify: CliCommand = {
  arguments: '[name]',
  options: [['--json', 'print as JSON']],
  examples: ['plugin verify', 'plugin verify ldap'],
  async run(input) {
    const config = readConfig(input.configFile)
    const entries = await resolvedEntries(config, { frozen: false })
    const [name] = input.args
    const verified = await verifyEntries(name === undefined ? entries : [entryNamed(entries, name)])
    const withdrawn = await revokedEntries(config)
    const found = verified.map((row) => {
      const revocation = withdrawn.get(row.name)
      if (!row.verified || revocation === undefined) return row
      return { ...row, revoked: saidOf(revocation), exitCode: exitCodes.integrity }
    })
    if (flag(input, 'json')) printJson(found)
    else printTable(found.map((row) => [row.name, wordOf(row), 'revoked' in row ? row.revoked : row.detail]))
    return found.find(({ exitCode }) => exitCode !== exitCodes.ok)?.exitCode ?? exitCodes.ok
  },
}

function wordOf(row: VerifiedEntry): string {
  if ('revoked' in row) return 'REVOKED'
  return row.verified ? 'verified' : 'NOT VERIFIED'
}
