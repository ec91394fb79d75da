import { type Config, loadConfig } from '../config/load-config.ts'
import { formatProblem } from '../config/problems.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** The configuration of a command, or every mistake in it as an error with exit code 3. */
export function readConfig(file: string): Config {
  const { config, problems } = loadConfig(file)
  if (config !== undefined) return config
  throw new CommandError(exitCodes.invalid, problems.map(formatProblem).join('\n'))
}
