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
    ['--dev-time <duration>', 'how long a server with --dev-plugins runs, 12 hours at most', '12h'],
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
      {
        ...(grace === undefined ? {} : { graceMs: durationOption('A grace time', grace) }),
        ...(flag(input, 'devPlugins') && { devTimeMs: devTimeOption(textOption(input, 'devTime') ?? '12h') }),
      },
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

/** A server that was started to try something out must not be what people use tomorrow. */
function devTimeOption(text: string): number {
  const ms = durationOption('A time of development', text)
  if (ms <= 12 * 3_600_000) return ms
  throw new CommandError(exitCodes.usage, '--dev-time is 12 hours at most')
}

function durationOption(what: string, text: string): number {
  const ms = millisecondsOf(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text)
  if (Number.isFinite(ms)) return ms
  throw new CommandError(
    exitCodes.usage,
    `${what} is a number of seconds or text such as "30s", not "${text}"`,
  )
}

/** A terminal or a pipe that goes away must not take the server with it. */
function stayAliveOnLostOutput(): void {
  process.stdout.on('error', () => {})
}
