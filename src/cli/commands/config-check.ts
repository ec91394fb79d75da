import { loadConfig } from '../../config/load-config.ts'
import { formatPath, formatProblem } from '../../config/problems.ts'
import { shippedSchemaOf } from '../../server/shipped-schemas.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'

/** Lists every mistake of a configuration with its place; the exit code says whether there was one. */
export const configCheck: CliCommand = {
  arguments: '[file]',
  options: [['--json', 'print the mistakes as JSON']],
  examples: ['config check', 'config check /etc/sftpgo-ts/sftpgo.config.json --json'],
  run(input) {
    const file = input.args[0] ?? input.configFile
    const { problems } = loadConfig(file, process.env, { pluginSchemaOf: shippedSchemaOf })
    if (flag(input, 'json')) {
      printJson({
        file,
        ok: problems.length === 0,
        problems: problems.map((problem) => ({ ...problem, path: formatPath(problem.path) })),
      })
    } else {
      for (const problem of problems) print(formatProblem(problem))
      if (problems.length === 0) print(`${file} is in order`)
    }
    return problems.length === 0 ? exitCodes.ok : exitCodes.invalid
  },
}
