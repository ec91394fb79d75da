import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { makeFolders } from '../../base/make-folders.ts'
import { type CliCommand, CommandError, textOption } from '../command.ts'
import { printDone } from '../done.ts'
import { exitCodes } from '../exit-codes.ts'
import { writeEditorSchema } from '../editor-schema.ts'

/** Writes a working configuration to start from; never over an existing file. */
export const init: CliCommand = {
  arguments: '[file]',
  options: [
    ['--port <port>', 'where to listen', '2022'],
    ['--address <address>', 'on which address; empty means every one', '127.0.0.1'],
    ['--state-dir <folder>', 'where state and host keys lie; default: both beside the configuration'],
    ['--json', 'print as JSON'],
  ],
  examples: [
    'init',
    'init /etc/sftpgo-ts/sftpgo.config.json --state-dir /var/lib/sftpgo-ts --address "" --port 22',
  ],
  run(input) {
    const file = resolve(input.args[0] ?? input.configFile)
    if (existsSync(file))
      throw new CommandError(exitCodes.usage, `"${file}" exists already; it was left as it is`)
    const port = Number(input.options['port'])
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new CommandError(exitCodes.usage, 'A port is a whole number from 0 to 65535')
    }
    makeFolders(dirname(file))
    const asked = { port, address: String(input.options['address']), stateDir: textOption(input, 'stateDir') }
    writeFileSync(file, starter(writeEditorSchema(file), asked), { flag: 'wx' })
    const next = `Start the server:  sftpgo-ts serve --config ${file}`
    printDone(input, `Wrote ${file}\n${next}`, { file })
  },
}

interface Asked {
  readonly port: number
  readonly address: string
  readonly stateDir: string | undefined
}

function starter(schema: string, { port, address, stateDir }: Asked): string {
  const keys = ['id_ed25519', 'id_rsa'].map((name) => JSON.stringify(join(stateDir ?? '', 'certs', name)))
  const [state, hostKeys] =
    stateDir === undefined
      ? ['', '']
      : [`\n  "state_dir": ${JSON.stringify(stateDir)},\n`, `\n    "host_keys": [${keys.join(', ')}],`]
  return `{
  // Gives completion and help in an editor.
  "$schema": ${JSON.stringify(schema)},
${state}
  // Everything that can be set: docs/settings.md, or "sftpgo-ts config show".
  "sftpd": {
    "bindings": [{ "port": ${port}, "address": ${JSON.stringify(address)} }],${hostKeys}
  },

  // Programs that decide about logins, hear of uploads, keep keys or filter addresses.
  "plugins": [],
}
`
}
