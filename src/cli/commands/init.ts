import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type CliCommand, CommandError } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print } from '../output.ts'
import { schemaSeenFrom } from '../published-schema.ts'

/** Writes a working configuration to start from; never over an existing file. */
export const init: CliCommand = {
  arguments: '[file]',
  options: [
    ['--port <port>', 'where to listen', '2022'],
    ['--address <address>', 'on which address; empty means every one', '127.0.0.1'],
  ],
  examples: ['init', 'init /etc/sftpgo-ts/sftpgo.config.json --address "" --port 22'],
  run(input) {
    const file = resolve(input.args[0] ?? input.configFile)
    if (existsSync(file))
      throw new CommandError(exitCodes.usage, `"${file}" exists already; it was left as it is`)
    const port = Number(input.options['port'])
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new CommandError(exitCodes.usage, 'A port is a whole number from 0 to 65535')
    }
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, starter(dirname(file), { port, address: String(input.options['address']) }), {
      flag: 'wx',
    })
    print(`Wrote ${file}`)
    print(`Start the server:  sftpgo-ts serve --config ${file}`)
  },
}

function starter(folder: string, binding: { readonly port: number; readonly address: string }): string {
  return `{
  // Gives completion and help in an editor.
  "$schema": ${JSON.stringify(schemaSeenFrom(folder))},

  // Everything that can be set: docs/settings.md, or "sftpgo-ts config show".
  "sftpd": {
    "bindings": [{ "port": ${binding.port}, "address": ${JSON.stringify(binding.address)} }],
  },

  // Programs that decide about logins, hear of uploads, keep keys or filter addresses.
  "plugins": [],
}
`
}
