import type { RewrapOutcome } from '../../server/kms-operations.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { firstLineOf } from '../encrypted-place.ts'
import { exitCodes } from '../exit-codes.ts'
import { runKms } from '../kms-door.ts'
import { print, printJson } from '../output.ts'

/** Gives files that were encrypted with an earlier passphrase to the one that is stored now. */
export const kmsRewrap: CliCommand = {
  arguments: '<name>',
  options: [
    ['--earlier-passphrase-file <file>', 'the first line of this file is the passphrase the files have now'],
    ['--folder', 'the name is that of a virtual folder, not of a user'],
    ['--json', 'print as JSON, with progress as lines of JSON on standard error'],
  ],
  examples: ['kms rewrap eve --earlier-passphrase-file eve.passphrase'],
  async run(input) {
    const [name = ''] = input.args
    const file = textOption(input, 'earlierPassphraseFile')
    if (file === undefined)
      throw new CommandError(
        exitCodes.usage,
        'Name the file of the earlier passphrase: --earlier-passphrase-file',
      )
    const json = flag(input, 'json')
    const request = {
      owner: `${flag(input, 'folder') ? 'folder' : 'user'}/${name}`,
      earlier: firstLineOf(file),
    }
    let outcome: RewrapOutcome | undefined
    let told = 0
    await runKms(input.configFile, 'kms rewrap', request, (item) => {
      if ('rewrap' in item) outcome = item.rewrap
      if (!('files' in item) || performance.now() - told < 500) return
      told = performance.now()
      process.stderr.write(json ? `${JSON.stringify(item)}\n` : `${item.files} files\n`)
    })
    if (outcome === undefined) return exitCodes.unexpected
    if (json) printJson(outcome)
    else tell(outcome)
    return outcome.finished && outcome.failed.length === 0 ? exitCodes.ok : exitCodes.integrity
  },
}

function tell({ rewrapped, already, notOurs, failed, moreFailed, finished }: RewrapOutcome): void {
  print(`${rewrapped} files have the passphrase that is stored, ${already} had it already`)
  if (notOurs > 0) print(`${notOurs} files of SFTPGo or without encryption stay as they are`)
  for (const { path, code, message } of failed) print(`  ${path}: ${message} (${code})`)
  if (moreFailed > 0) print(`  and ${moreFailed} more`)
  if (!finished) print('Ended early; run it again to go on')
}
