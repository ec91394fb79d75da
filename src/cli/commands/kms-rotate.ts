import type { RotationOutcome } from '../../server/kms-operations.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { runKms } from '../kms-door.ts'
import { print, printJson } from '../output.ts'

/** Seals every stored secret with the current keeper. */
export const kmsRotate: CliCommand = {
  options: [
    ['--all', 'also what the current keeper sealed already, for a key with a new version'],
    ['--json', 'print as JSON, with progress as lines of JSON on standard error'],
  ],
  examples: ['kms rotate', 'kms rotate --all --json'],
  async run(input) {
    const json = flag(input, 'json')
    let outcome: RotationOutcome | undefined
    let told = 0
    await runKms(input.configFile, 'kms rotate', { all: flag(input, 'all') }, (item) => {
      if ('rotation' in item) outcome = item.rotation
      if (!('progress' in item)) return
      const { done, total } = item.progress
      if (done < total && performance.now() - told < 500) return
      told = performance.now()
      process.stderr.write(json ? `${JSON.stringify(item)}\n` : `${done} of ${total} secrets\n`)
    })
    if (outcome === undefined) return exitCodes.unexpected
    if (json) printJson(outcome)
    else tell(outcome)
    return outcome.finished && outcome.failed.length === 0 ? exitCodes.ok : exitCodes.integrity
  },
}

function tell({ keeper, rotated, kept, readOnly, failed, resumedAfter, finished }: RotationOutcome): void {
  if (resumedAfter !== '') print(`Went on after ${resumedAfter}`)
  print(`${rotated} secrets are sealed anew by ${keeper}, ${kept} were already`)
  for (const place of readOnly) print(`${place}: kept in the users file, change it there`)
  for (const { place, code, message } of failed) print(`${place}: ${message} (${code})`)
  if (!finished) print('Ended early; run it again to go on')
}
