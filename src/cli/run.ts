import { Command, CommanderError, Option } from 'commander'
import { ConfigError, FileError, PackageError, PluginError, SecretError, messageOf } from '../base/errors.ts'
import { nearestName } from '../config/nearest-name.ts'
import { type CliCommand, type CommandInput, CommandError } from './command.ts'
import { type CommandRow, commandTable } from './command-table.ts'
import { exitCodeOf, exitCodes } from './exit-codes.ts'

const program = 'sftpgo-ts'

/** Runs one command line, without the program's name, and gives the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  try {
    return await dispatch(argv)
  } catch (error) {
    // Commander has said already what was wrong with the arguments.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    process.stderr.write(`${messageOf(error)}\n${moreAbout(error)}`)
    if (!(error instanceof CommandError) && process.env['SFTPGO_TS_TRACE'] === '1')
      process.stderr.write(stackOf(error))
    return exitCodeOf(error)
  }
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const first = argv[0] ?? ''
  if (argv.length === 0 || first === '--help' || first === '-h' || first === 'help') {
    process.stdout.write(overview(commandTable))
    return argv.length === 0 ? exitCodes.usage : exitCodes.ok
  }
  const row = first === '--version' || first === '-V' ? rowOf(['version']) : rowOf(argv)
  if (row === undefined) return unknownCommand(argv)
  const rest = argv.slice(row.words.split(' ').length)
  const command = await row.load()
  const code = 'raw' in command ? await command.run(rest) : await runDefined(row, command, rest)
  return code ?? exitCodes.ok
}

/** Where an error of the catalogue is explained. */
function moreAbout(error: unknown): string {
  const kinds = [FileError, PluginError, ConfigError, PackageError, SecretError]
  const known = kinds.some((kind) => error instanceof kind)
  return known && error instanceof Error && 'code' in error
    ? `"${program} explain ${String(error.code)}" says what to do\n`
    : ''
}

/** The row whose words begin the command line; the longest wins. */
function rowOf(argv: readonly string[]): CommandRow | undefined {
  return commandTable
    .filter(({ words }) => words.split(' ').every((word, index) => argv[index] === word))
    .sort((a, b) => b.words.length - a.words.length)[0]
}

async function runDefined(
  row: CommandRow,
  definition: CliCommand,
  argv: readonly string[],
): Promise<number | void> {
  const command = new Command(`${program} ${row.words}`)
  command
    .description(row.summary)
    .exitOverride()
    .showHelpAfterError(`(${program} ${row.words} --help says more)`)
  command.configureHelp({ commandUsage: (self) => `${self.name()} ${self.usage()}` })
  if (definition.arguments !== undefined) command.arguments(definition.arguments)
  // Taken by every command, so that a script can give it to all of them; help shows it where it is read.
  const config = new Option('-c, --config <file>', 'the configuration').default('sftpgo.config.json')
  command.addOption(definition.withoutConfig === true ? config.hideHelp() : config)
  for (const [flags, description, byDefault] of definition.options ?? [])
    command.option(flags, description, byDefault)
  const examples = definition.examples.map((line) => `  ${program} ${line}`).join('\n')
  command.addHelpText('after', `\nExamples:\n${examples}`)
  let code: number | void = undefined
  command.action(async () => {
    code = await definition.run(inputOf(command))
  })
  await command.parseAsync([...argv], { from: 'user' })
  return code
}

function inputOf(command: Command): CommandInput {
  const options: Record<string, unknown> = command.opts()
  const config = options['config']
  return {
    args: command.args,
    options,
    configFile: typeof config === 'string' ? config : 'sftpgo.config.json',
  }
}

function unknownCommand(argv: readonly string[]): number {
  const group = commandTable.filter(({ words }) => words.startsWith(`${argv[0] ?? ''} `))
  if (group.length > 0 && (argv.length === 1 || argv[1] === '--help' || argv[1] === '-h')) {
    process.stdout.write(overview(group))
    return argv.length === 1 ? exitCodes.usage : exitCodes.ok
  }
  const typed = argv
    .slice(0, 2)
    .filter((word) => !word.startsWith('-'))
    .join(' ')
  const words = commandTable.map((row) => row.words)
  const near = nearestName(typed, words) ?? nearestName(argv[0] ?? '', words)
  const meant = near === undefined ? '' : ` Did you mean "${program} ${near}"?`
  process.stderr.write(
    `There is no command "${typed === '' ? argv[0] : typed}".${meant} "${program} --help" lists them all.\n`,
  )
  return exitCodes.usage
}

function overview(rows: readonly CommandRow[]): string {
  const width = Math.max(...rows.map(({ words }) => words.length))
  const lines = rows.map(({ words, summary }) => `  ${words.padEnd(width)}  ${summary}`)
  return `Usage: ${program} COMMAND [OPTIONS]\n\n${lines.join('\n')}\n\n"${program} COMMAND --help" shows options and examples.\n`
}

function stackOf(error: unknown): string {
  return error instanceof Error ? `${error.stack ?? ''}\n` : ''
}
