import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import type { PluginEntry } from '../../host/plugin-entry.ts'
import { verifiedCopy } from '../../host/verified-copy.ts'
import { resolvedEntries } from '../../server/locked-entries.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodeOf, exitCodes } from '../exit-codes.ts'
import { printJson, printTable } from '../output.ts'
import { readConfig } from '../read-config.ts'
import { entryNamed } from '../plugin-entry-named.ts'

/** What verifying one entry found. */
interface Verified {
  readonly name: string
  readonly verified: boolean
  readonly detail: string
  readonly exitCode: number
}

/** Hashes the program of every entry, or of one, as a start would, and starts nothing. */
export const pluginVerify: CliCommand = {
  arguments: '[name]',
  options: [['--json', 'print as JSON']],
  examples: ['plugin verify', 'plugin verify ldap'],
  async run(input) {
    const entries = await resolvedEntries(readConfig(input.configFile), { frozen: false })
    const [name] = input.args
    const chosen = name === undefined ? entries : [entryNamed(entries, name)]
    const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-verify-'))
    try {
      const found: Verified[] = []
      for (const entry of chosen) found.push(await verify(entry, folder))
      if (flag(input, 'json')) printJson(found)
      else printTable(found.map((row) => [row.name, row.verified ? 'verified' : 'NOT VERIFIED', row.detail]))
      return found.find((row) => !row.verified)?.exitCode ?? exitCodes.ok
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

async function verify(entry: PluginEntry, runFolder: string): Promise<Verified> {
  try {
    const program = await verifiedCopy(entry, { runFolder, runFrom: entry.runFrom ?? 'memory' })
    await program.close()
    const detail = [program.sha256, program.warning].filter((part) => part !== undefined).join('; ')
    return { name: entry.name, verified: true, detail, exitCode: exitCodes.ok }
  } catch (error) {
    return { name: entry.name, verified: false, detail: messageOf(error), exitCode: exitCodeOf(error) }
  }
}
