import { readFileSync } from 'node:fs'
import { placeInJson } from '../../base/json-place.ts'
import type { ImportedUser, ImportReport } from '../../accounts/import-dump.ts'
import { type AskAccounts, withAccounts } from '../account-door.ts'
import { type CliCommand, CommandError, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'

/** Takes over the users, groups, folders and address lists of a dump of SFTPGo. */
export const userImport: CliCommand = {
  arguments: '<dump>',
  options: [
    ['--add-only', 'leave users alone that are there already'],
    ['--json', 'print the report as JSON'],
  ],
  examples: ['user import dump.json', 'user import dump.json --add-only --json'],
  async run(input) {
    const [file = ''] = input.args
    const dump = readDump(file)
    const report = await withAccounts(input.configFile, (ask) =>
      importParts(ask, dump, flag(input, 'addOnly')),
    )
    if (flag(input, 'json')) printJson(report)
    else printReport(report)
    return report.users.some(({ result }) => result === 'skipped') ? exitCodes.unexpected : exitCodes.ok
  },
}

type DumpObject = Readonly<Record<string, unknown>>

/** Users in one message; a dump of any size passes through the socket in small ones. */
const usersAtOnce = 20

function readDump(file: string): DumpObject {
  const text = readFileSync(file, 'utf8')
  const json = parsed(text, file)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new CommandError(exitCodes.invalid, `"${file}" is not a dump of SFTPGo: expected an object`)
  return json as DumpObject // an object, as just checked
}

/** The parser's own message is not shown: it quotes the text, and a dump is full of secrets. */
function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    const { line, column, mistake } = placeInJson(text)
    throw new CommandError(
      exitCodes.invalid,
      `"${file}" is not JSON: line ${line}, column ${column}: ${mistake}`,
    )
  }
}

/** Everything that users refer to first, then the users. */
async function importParts(
  ask: AskAccounts,
  { users, ...rest }: DumpObject,
  addOnly: boolean,
): Promise<ImportReport> {
  const send = async (dump: DumpObject): Promise<ImportReport> =>
    (await ask('user import', { dump, addOnly })) as ImportReport // as the operation answers
  const report = await send({ users: [], ...rest })
  const imported: ImportedUser[] = []
  const list: readonly unknown[] = Array.isArray(users) ? users : []
  for (let at = 0; at < list.length; at += usersAtOnce)
    imported.push(...(await send({ users: list.slice(at, at + usersAtOnce) })).users)
  return { ...report, users: imported }
}

function printReport({ users, groups, folders, addressRules, notCarriedOver }: ImportReport): void {
  for (const { username, result, problems, warnings, notCarriedOver: fields } of users) {
    print(`${result.padEnd(8)} ${username}`)
    for (const problem of problems) print(`           ! ${problem}`)
    for (const warning of warnings) print(`           ! cannot log in yet: ${warning}`)
    for (const field of fields) print(`           - not carried over: ${field}`)
  }
  const skipped = users.filter(({ result }) => result === 'skipped').length
  print(
    [
      `${users.length - skipped} users${skipped > 0 ? ` (${skipped} skipped)` : ''}`,
      ...[`${groups.length} groups`, `${folders.length} folders`, `${addressRules} address rules`],
    ].join(', '),
  )
  for (const section of notCarriedOver) print(`not carried over: ${section}`)
}
