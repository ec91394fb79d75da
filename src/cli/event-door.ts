import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { silentLogger } from '../base/log.ts'
import { openDatabase } from '../database/open-database.ts'
import { type ChangeReport, openEventArchive } from '../events/event-archive.ts'
import { createEventOperations } from '../events/event-operations.ts'
import { createNotifierRoster } from '../server/notifier-roster.ts'
import { stateLayout } from '../server/state-layout.ts'
import { holdStateFolder } from '../server/state-lock.ts'
import { findServer } from './ask-server.ts'
import { CommandError, textOption, type CliOption, type CommandInput } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { readConfig } from './read-config.ts'

/** Asks for a change of chosen events, as `askEvents` does; to choose none is a wrong use of the command. */
export async function askChange(
  configFile: string,
  operation: string,
  selection: Readonly<Record<string, unknown>>,
): Promise<ChangeReport> {
  try {
    return (await askEvents(configFile, operation, selection)) as ChangeReport // as the operations answer
  } catch (error) {
    if (isNothingChosen(error)) throw new CommandError(exitCodes.usage, error.message, { cause: error })
    throw error
  }
}

function isNothingChosen(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'missing-key'
}

/** Asks the running server; where none runs, the database itself, held against a server that starts meanwhile. */
export async function askEvents(
  configFile: string,
  operation: string,
  input: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const question = { ...input, actor: userInfo().username }
  const server = await findServer(configFile)
  if (server === undefined) return askDatabase(configFile, operation, question)
  try {
    return await server.ask(operation, question)
  } finally {
    server.close()
  }
}

async function askDatabase(configFile: string, operation: string, input: object): Promise<unknown> {
  const config = readConfig(configFile)
  const layout = stateLayout(config)
  if (layout.database === ':memory:')
    throw new CommandError(exitCodes.unexpected, 'Events are kept in memory and no server runs')
  if (!existsSync(layout.database))
    throw new CommandError(exitCodes.notFound, `There are no events: "${layout.database}" does not exist`)
  const lock = holdStateFolder(layout.lock)
  try {
    const database = await openDatabase({ path: layout.database })
    try {
      const entries = createNotifierRoster().entries(config.settings)
      const archive = openEventArchive({ database, notifiers: () => entries, now: () => Date.now() })
      const run = createEventOperations({ archive, log: silentLogger })[operation]
      if (run === undefined) throw new Error(`Unknown operation "${operation}"`)
      return await run(input)
    } finally {
      await database.close()
    }
  } finally {
    lock.close()
  }
}

/** The options by which events are chosen. */
export const selectionOptions: readonly CliOption[] = [
  ['--id <ids...>', 'these events'],
  ['--user <name>', 'of this user'],
  ['--path <path>', 'of this path; with * at its end, of everything that begins so'],
  ['--action <action>', 'of this kind: upload, rename, log-1, provider-add ...'],
  ['--since <time>', 'not older than this: 2026-11-21T08:00:00Z, or 90m, 12h, 7d ago'],
  ['--until <time>', 'not newer than this'],
]

/** What those options say. */
export function selectionOf(input: CommandInput): Record<string, unknown> {
  const ids = input.options['id']
  const all = {
    ids: Array.isArray(ids) ? ids : undefined,
    username: textOption(input, 'user'),
    path: textOption(input, 'path'),
    action: textOption(input, 'action'),
    notifier: textOption(input, 'notifier'),
    sinceMs: timeOf(textOption(input, 'since')),
    untilMs: timeOf(textOption(input, 'until')),
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** A number of lines that somebody asked for. */
export function limitOf(input: CommandInput): number {
  const limit = Number(textOption(input, 'limit') ?? '50')
  if (Number.isInteger(limit) && limit > 0) return limit
  throw new CommandError(exitCodes.usage, '--limit takes a whole number above 0')
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, amount, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? []
  const ms = amount === undefined ? Date.parse(text) : Date.now() - Number(amount) * (units[unit] ?? 0)
  if (Number.isFinite(ms)) return ms
  throw new CommandError(exitCodes.usage, `"${text}" is neither a time nor an age such as 90m, 12h or 7d`)
}
