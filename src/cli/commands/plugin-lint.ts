import { resolve } from 'node:path'
import { lintPlugin } from '../../packages/lint-plugin.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'

/** Finds what is wrong with the folder of a plugin, without running the plugin. */
export const pluginLint: CliCommand = {
  arguments: '[folder]',
  options: [['--json', 'print as JSON']],
  withoutConfig: true,
  examples: ['plugin lint', 'plugin lint ./acme-auth'],
  async run(input) {
    const findings = await lintPlugin(resolve(input.args[0] ?? '.'))
    const wrong = findings.filter(({ severity }) => severity === 'error').length
    if (flag(input, 'json')) printJson(findings)
    else {
      for (const { severity, file, message } of findings) print(`${severity.padEnd(7)} ${file}: ${message}`)
      print(
        findings.length === 0 ? 'Nothing is wrong' : `${wrong} errors, ${findings.length - wrong} warnings`,
      )
    }
    return wrong === 0 ? exitCodes.ok : exitCodes.invalid
  },
}
