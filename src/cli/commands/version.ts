import { programVersion } from '../../server/version.ts'
import { type CliCommand, flag } from '../command.ts'
import { print, printJson } from '../output.ts'

/** Prints the version, the Node and the OpenSSL it runs on. */
export const version: CliCommand = {
  withoutConfig: true,
  options: [['--json', 'print as JSON']],
  examples: ['version', 'version --json'],
  run(input) {
    const info = {
      version: programVersion(),
      node: process.versions.node,
      openssl: process.versions.openssl,
      platform: `${process.platform}-${process.arch}`,
    }
    if (flag(input, 'json')) printJson(info)
    else print(`sftpgo-ts ${info.version} (Node ${info.node}, OpenSSL ${info.openssl}, ${info.platform})`)
  },
}
