/** One command of the executable. Its file is loaded only when it runs, and imports heavy folders no earlier than it must. */
export interface CliCommand {
  /** Arguments as commander writes them: `<name> [file]`. */
  readonly arguments?: string
  /** Flags (`--json`, `-d, --dir <folder>`), meaning, and default. */
  readonly options?: readonly CliOption[]
  /** At least one line that can be pasted, without the name of the program. */
  readonly examples: readonly string[]
  /** True where no configuration is read: `--config` is then taken and not needed. */
  readonly withoutConfig?: boolean
  /** Does the work. The exit code is 0 unless it returns another or throws. */
  run(input: CommandInput): Promise<number | void> | number | void
}

/** A program within the program that reads its arguments itself (`sftp-server`). */
export interface RawCommand {
  readonly raw: true
  run(args: readonly string[]): Promise<number | void> | number | void
}

/** Flags, what they mean, and what holds without them. */
export type CliOption = readonly [flags: string, description: string, byDefault?: string | boolean]

/** What a command was given. */
export interface CommandInput {
  readonly args: readonly string[]
  readonly options: Readonly<Record<string, unknown>>
  /** The configuration file: `--config`, or `sftpgo.config.json` in the working directory. */
  readonly configFile: string
}

/** A command cannot do what it was asked; its sentence goes to standard error. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** An option that takes text; undefined where it was not given. */
export function textOption(input: CommandInput, name: string): string | undefined {
  const value = input.options[name]
  return typeof value === 'string' ? value : undefined
}

/** Whether a flag was given. */
export function flag(input: CommandInput, name: string): boolean {
  return input.options[name] === true
}
