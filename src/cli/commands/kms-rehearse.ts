import type { RehearsalOutcome } from '../../server/kms-operations.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { runKms } from '../kms-door.ts'
import { print, printJson } from '../output.ts'

/** Tries whether everything that is sealed can still be opened. */
export const kmsRehearse: CliCommand = {
  options: [
    ['--files <number>', 'encrypted files to read in each place', '5'],
    ['--json', 'print as JSON'],
  ],
  examples: ['kms rehearse', 'kms rehearse --files 50 --json'],
  async run(input) {
    const files = Number(textOption(input, 'files') ?? '5')
    if (!Number.isInteger(files) || files < 0 || files > 10_000)
      throw new CommandError(exitCodes.usage, '--files takes a whole number up to 10000')
    let outcome: RehearsalOutcome | undefined
    await runKms(input.configFile, 'kms rehearse', { files }, (item) => {
      if ('rehearsal' in item) outcome = item.rehearsal
    })
    if (outcome === undefined) return exitCodes.unexpected
    if (flag(input, 'json')) printJson(outcome)
    else tell(outcome)
    return outcome.ok ? exitCodes.ok : exitCodes.integrity
  },
}

function tell({ keeper, keeperProblem, opened, failed, sample }: RehearsalOutcome): void {
  if (keeperProblem === undefined) print(`The keeper ${keeper} seals, opens and seals anew`)
  else print(`The keeper ${keeper} does not work: ${keeperProblem.message} (${keeperProblem.code})`)
  print(`${opened} of ${opened + failed.length} stored secrets open`)
  for (const { place, code, message } of failed) print(`  ${place}: ${message} (${code})`)
  print(
    `${sample.files} files of ${sample.places} encrypted places were tried, ${sample.failed.length} failed`,
  )
  for (const { owner, path, code, message } of sample.failed)
    print(`  ${owner}${path === '' ? '' : `:${path}`}: ${message} (${code})`)
}
