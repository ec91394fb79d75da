import { relative, resolve } from 'node:path'
import { scaffoldFiles, writeScaffold } from '../../packages/scaffold/scaffold.ts'
import {
  languageNicknames,
  scaffoldLanguages,
  scaffoldSlots,
} from '../../packages/scaffold/scaffold-options.ts'
import { programVersion } from '../../server/version.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'
import { thisProgramAsDependency } from '../this-program.ts'

/** Writes a new plugin that works: types, tests and packing are green before the first line is changed. */
export const pluginNew: CliCommand = {
  arguments: '<name>',
  options: [
    ['--slot <slot>', `what it fills: ${scaffoldSlots.join(', ')}`],
    ['--language <language>', `what it is written in: ${scaffoldLanguages.join(', ')}`, 'typescript'],
    ['--dir <folder>', 'where it goes; default: a folder of its name'],
    ['--sdk <spec>', 'where npm gets sftpgo-ts from; default: from where this program was installed'],
    ['--json', 'print as JSON'],
  ],
  withoutConfig: true,
  examples: ['plugin new acme-auth --slot auth', 'plugin new acme-notify --slot notifier --language go'],
  run(input) {
    const [name = ''] = input.args
    const slot = chosen(textOption(input, 'slot'), scaffoldSlots, '--slot')
    const asked = textOption(input, 'language') ?? ''
    const language = chosen(languageNicknames[asked] ?? asked, scaffoldLanguages, '--language')
    const folder = resolve(textOption(input, 'dir') ?? name)
    const dependency = textOption(input, 'sdk') ?? thisProgramAsDependency(folder)
    const files = scaffoldFiles({ name, slot, language, version: programVersion(), dependency })
    const written = writeScaffold(folder, files)
    if (flag(input, 'json'))
      return printJson({ name, slot, language, folder, sdk: dependency, files: written })
    print(`Wrote ${written.length} files into ${folder}`)
    if (dependency.startsWith('file:'))
      print(`npm takes sftpgo-ts from ${dependency.slice(5)}; --sdk names another place`)
    print(`Next: cd ${relative(process.cwd(), folder) || '.'} && npm install && npm run dev`)
  },
}

function chosen<T extends string>(value: string | undefined, known: readonly T[], option: string): T {
  const found = known.find((one) => one === value)
  if (found !== undefined) return found
  const reason = value === undefined ? 'is missing' : `does not know "${value}"`
  throw new CommandError(exitCodes.usage, `${option} ${reason}; it takes ${known.join(', ')}`)
}
