import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { scaffoldFiles, writeScaffold } from '../../packages/scaffold/scaffold.ts'
import { scaffoldLanguages } from '../../packages/scaffold/scaffold-options.ts'
import { programVersion } from '../../server/version.ts'
import { slots, type SlotName } from '../../slots/index.ts'
import { type CliCommand, CommandError, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print } from '../output.ts'

/** Writes a new plugin that works: types, tests and packing are green before the first line is changed. */
export const pluginNew: CliCommand = {
  arguments: '<name>',
  options: [
    ['--slot <slot>', `what it fills: ${Object.keys(slots).join(', ')}`],
    ['--language <language>', `what it is written in: ${scaffoldLanguages.join(', ')}`, 'typescript'],
    ['--dir <folder>', 'where it goes; default: a folder of its name'],
  ],
  withoutConfig: true,
  examples: ['plugin new acme-auth --slot auth', 'plugin new acme-notify --slot notifier --language go'],
  run(input) {
    const [name = ''] = input.args
    const slot = chosen(textOption(input, 'slot'), Object.keys(slots) as SlotName[], '--slot') // the keys of the table are the names
    const language = chosen(textOption(input, 'language'), scaffoldLanguages, '--language')
    const folder = resolve(textOption(input, 'dir') ?? name)
    const files = scaffoldFiles({
      name,
      slot,
      language,
      version: programVersion(),
      dependency: dependency(folder),
    })
    const written = writeScaffold(folder, files)
    print(`Wrote ${written.length} files into ${folder}`)
    print(`Next: cd ${relative(process.cwd(), folder) || '.'} && npm install && npm run dev`)
  },
}

function chosen<T extends string>(value: string | undefined, known: readonly T[], option: string): T {
  const found = known.find((one) => one === value)
  if (found !== undefined) return found
  const reason = value === undefined ? 'is missing' : `does not know "${value}"`
  throw new CommandError(exitCodes.usage, `${option} ${reason}; it takes ${known.join(', ')}`)
}

/** A checkout is used as it lies there; an installed program by its version. */
function dependency(folder: string): string {
  const top = fileURLToPath(new URL('../../../', import.meta.url))
  const isCheckout = existsSync(join(top, 'src')) && existsSync(join(top, '.ci'))
  return isCheckout ? `file:${relative(folder, top)}` : `^${programVersion()}`
}
