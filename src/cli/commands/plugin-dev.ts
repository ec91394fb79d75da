import { resolve } from 'node:path'
import { statSync } from 'node:fs'
import { chosenSlot } from '../chosen-slot.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { openWorkshop } from '../dev/workshop.ts'
import { exitCodes } from '../exit-codes.ts'
import { print } from '../output.ts'

/** Starts a throw-away server around a plugin that is being written, and takes every saved change. */
export const pluginDev: CliCommand = {
  arguments: '[target]',
  options: [
    ['--slot <slot>', 'what it fills; a folder with a plugin.json says it itself'],
    ['--fixtures <file>', '{"settings": ..., "samples": ...}; default: test/fixtures.json of the folder'],
    ['--interpreter <path>', 'runs the entry instead of the interpreter of the plugin.json'],
    ['--scope <number>', 'which logins an auth plugin is asked about, as in auth_options', '1'],
    ['--inspect', 'let a debugger in, and wait for it: no deadlines'],
  ],
  withoutConfig: true,
  examples: ['plugin dev', 'plugin dev ./acme-auth --inspect', 'plugin dev ./plugins --slot ipfilter'],
  async run(input) {
    const target = resolve(input.args[0] ?? '.')
    if (statSync(target, { throwIfNoEntry: false }) === undefined)
      throw new CommandError(exitCodes.notFound, `There is no "${target}"`)
    const slot = chosenSlot(textOption(input, 'slot'))
    const interpreter = textOption(input, 'interpreter')
    const fixtures = textOption(input, 'fixtures')
    const scope = Number(textOption(input, 'scope'))
    if (!Number.isInteger(scope) || scope < 1 || scope > 15)
      throw new CommandError(exitCodes.usage, '--scope is a number from 1 to 15')
    const stopped = new Promise<void>((settle) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => settle())
    })
    const workshop = await openWorkshop({
      ...{ target, scope, print, inspect: flag(input, 'inspect') },
      ...(slot !== undefined && { slot }),
      ...(interpreter !== undefined && { interpreter: resolve(interpreter) }),
      ...(fixtures !== undefined && { fixtures: resolve(fixtures) }),
    })
    await stopped
    await workshop.close()
  },
}
