import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PluginError, messageOf } from '../base/errors.ts'
import type { PluginEntry } from '../host/plugin-entry.ts'
import { verifiedCopy } from '../host/verified-copy.ts'
import { exitCodeOf, exitCodes } from './exit-codes.ts'

/** What verifying one entry found. */
export interface VerifiedEntry {
  readonly name: string
  readonly verified: boolean
  readonly detail: string
  /** Of the error, where it is not verified. */
  readonly code?: string
  readonly exitCode: number
}

/** Hashes the program of each entry as a start would, and starts nothing. */
export async function verifyEntries(entries: readonly PluginEntry[]): Promise<VerifiedEntry[]> {
  const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-verify-'))
  try {
    const found: VerifiedEntry[] = []
    for (const entry of entries) found.push(await verify(entry, folder))
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function verify(entry: PluginEntry, runFolder: string): Promise<VerifiedEntry> {
  try {
    const program = await verifiedCopy(entry, { runFolder, runFrom: entry.runFrom ?? 'memory' })
    await program.close()
    const detail = [program.sha256, program.warning].filter((part) => part !== undefined).join('; ')
    return { name: entry.name, verified: true, detail, exitCode: exitCodes.ok }
  } catch (error) {
    const code = error instanceof PluginError ? { code: error.code } : {}
    return {
      name: entry.name,
      verified: false,
      detail: messageOf(error),
      ...code,
      exitCode: exitCodeOf(error),
    }
  }
}
