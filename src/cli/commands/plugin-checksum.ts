import { digestToApprove } from '../../host/verified-copy.ts'
import { type CliCommand, flag } from '../command.ts'
import { print, printJson } from '../output.ts'

/** Prints the line that approves a program: the digest of a file, or of the plugin.json of a folder. */
export const pluginChecksum: CliCommand = {
  arguments: '<file>',
  options: [['--json', 'print as JSON']],
  examples: ['plugin checksum /opt/sftpgo-plugin-auth'],
  withoutConfig: true,
  async run(input) {
    const [file = ''] = input.args
    const sha256sum = await digestToApprove(file)
    if (flag(input, 'json')) printJson({ file, sha256sum })
    else print(`"sha256sum": "${sha256sum}"`)
  },
}
