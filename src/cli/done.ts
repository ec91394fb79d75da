import { type CommandInput, flag } from './command.ts'
import { print, printJson } from './output.ts'

/** Says that a command did its work: a sentence for people, or with `--json` what was done for programs. */
export function printDone(
  input: CommandInput,
  sentence: string,
  done: Readonly<Record<string, unknown>>,
): void {
  if (flag(input, 'json')) printJson(done)
  else print(sentence)
}
