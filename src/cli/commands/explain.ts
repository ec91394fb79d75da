import { errorCatalogue } from '../../base/error-catalogue.ts'
import { nearestName } from '../../config/nearest-name.ts'
import { type CliCommand, CommandError, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson, printTable } from '../output.ts'

/** Says what an error code means and what to do about it. */
export const explain: CliCommand = {
  arguments: '[code]',
  withoutConfig: true,
  options: [['--json', 'print as JSON']],
  examples: ['explain checksum-mismatch', 'explain'],
  run(input) {
    const code = input.args[0]
    if (code === undefined) return list(flag(input, 'json'))
    const rows = errorCatalogue.filter((row) => row.code === code)
    if (rows.length === 0) {
      const near = nearestName(
        code,
        errorCatalogue.map((row) => row.code),
      )
      const hint = near === undefined ? '"sftpgo-ts explain" lists them all' : `did you mean "${near}"?`
      throw new CommandError(exitCodes.notFound, `There is no error code "${code}"; ${hint}`)
    }
    if (flag(input, 'json')) return printJson(rows)
    for (const { kind, meaning, remedy } of rows) {
      print(`${code} (${kind})\n`)
      print(`What it means: ${meaning}`)
      print(`What to do:    ${remedy}`)
    }
  },
}

function list(json: boolean): void {
  if (json) printJson(errorCatalogue)
  else printTable(errorCatalogue.map(({ code, kind, meaning }) => [code, kind, meaning]))
}
