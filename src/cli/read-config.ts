import { type Config, type LoadOptions, loadConfig } from '../config/load-config.ts'
import { formatProblem } from '../config/problems.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/**
 * The configuration of a command, or every mistake in it as an error with exit code 3. With `pluginSchemaOf`, mistakes in
 * the settings of plugins are among them.
 */
export function readConfig(file: string, options: LoadOptions = {}): Config {
  const { config, problems } = loadConfig(file, process.env, options)
  const inSettings = problems.some(({ path }) => path[0] === 'plugins' && path[2] === 'settings')
  if (config !== undefined && !(inSettings && options.pluginSchemaOf !== undefined)) return config
  throw new CommandError(exitCodes.invalid, problems.map(formatProblem).join('\n'))
}
