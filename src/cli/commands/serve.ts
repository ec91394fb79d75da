import type { LogLevel } from '../../base/log.ts'
import { millisecondsOf } from '../../config/units.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { readConfig } from '../read-config.ts'

/** Starts the server and stays until it is told to stop. */
export const serve: CliCommand = {
  options: [
    ['--log-level <level>', 'trace, debug, info, warn or error; over log.level'],
    ['--grace-time <seconds>', 'how long transfers may go on after SIGTERM; over common.grace_time'],
    ['--dev-plugins', 'let entries marked "dev" run without a checksum; listens on loopback only'],
    ['--frozen', 'start only plugins that the lock file names'],
  ],
  examples: ['serve', 'serve --config /etc/sftpgo-ts/sftpgo.config.json --log-level debug'],
  async run(input) {
    if (process.platform === 'win32') {
      throw new CommandError(
        exitCodes.unexpected,
        'Windows is not supported: run it on Linux, macOS or inside WSL',
      )
    }
    const { shippedSchemaOf } = await import('../../server/shipped-schemas.ts')
    const config = readConfig(input.configFile, { pluginSchemaOf: shippedSchemaOf })
    const logLevel = levelOption(textOption(input, 'logLevel'))
    const grace = textOption(input, 'graceTime')
    const { runServer } = await import('../../server/run-server.ts')
    stayAliveOnLostOutput()
    return runServer(
      {
        config,
        devPlugins: flag(input, 'devPlugins'),
        frozen: flag(input, 'frozen'),
        ...(logLevel === undefined ? {} : { logLevel }),
      },
      grace === undefined ? undefined : graceOption(grace),
    )
  },
}

function levelOption(text: string | undefined): LogLevel | undefined {
  const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']
  if (text === undefined) return undefined
  const level = levels.find((name) => name === text)
  if (level !== undefined) return level
  throw new CommandError(exitCodes.usage, `A log level is one of ${levels.join(', ')}, not "${text}"`)
}

function graceOption(text: string): number {
  const ms = millisecondsOf(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text)
  if (Number.isFinite(ms)) return ms
  throw new CommandError(
    exitCodes.usage,
    `A grace time is a number of seconds or text such as "30s", not "${text}"`,
  )
}

/** A terminal or a pipe that goes away must not take the server with it. */
function stayAliveOnLostOutput(): void {
  process.stdout.on('error', () => {})
}
