import { existsSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { importSftpgoConfig } from '../../config/import-sftpgo.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'
import { writeEditorSchema } from '../editor-schema.ts'

/** Translates a configuration file of SFTPGo and lists what has no counterpart. */
export const configImport: CliCommand = {
  arguments: '<file>',
  withoutConfig: true,
  options: [
    ['-o, --output <file>', 'where to write; an existing file is left alone', 'sftpgo.config.json'],
    ['--json', 'write nothing; print configuration and notes as JSON'],
  ],
  examples: ['config import /etc/sftpgo/sftpgo.json', 'config import sftpgo.yaml --output new.config.json'],
  async run(input) {
    const { config, notes } = await importSftpgoConfig(input.args[0] ?? '')
    if (flag(input, 'json')) return printJson({ config, notes })
    const output = textOption(input, 'output') ?? 'sftpgo.config.json'
    if (existsSync(output)) {
      throw new CommandError(
        exitCodes.usage,
        `"${output}" exists already and was left alone; name another with --output`,
      )
    }
    const written = { $schema: writeEditorSchema(resolve(output)), ...config }
    writeFileSync(output, `${JSON.stringify(written, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' })
    for (const [kind, title] of sections) {
      const lines = notes.filter((note) => note.kind === kind)
      if (lines.length > 0) print(`\n${title}`)
      for (const { path, message } of lines) print(`  ${path}: ${message}`)
    }
    print(`\nWrote ${output}. Look at it, then: sftpgo-ts config check ${output}`)
  },
}

const sections = [
  ['lost', 'Not carried over:'],
  ['changed', 'Made otherwise:'],
  ['check', 'Please look at:'],
] as const
