import { facilities } from './system-log.ts'

/** What `sftp-server` was asked on its command line: OpenSSH's flags and our `--config`. */
export interface SftpServerFlags {
  readonly startDirectory?: string
  readonly logToStderr: boolean
  /** Number of syslog's facility; AUTH when none is named. */
  readonly facility: number
  readonly logLevel: SftpLogLevel
  readonly denied?: ReadonlySet<string>
  readonly allowed?: ReadonlySet<string>
  readonly readOnly: boolean
  readonly umask?: number
  readonly config?: string
}

/** OpenSSH's log levels. */
export type SftpLogLevel = (typeof logLevels)[number]

/** What a command line means. */
export type ParsedFlags =
  | { readonly do: 'serve'; readonly flags: SftpServerFlags }
  | { readonly do: 'query'; readonly feature: string }
  /** `-h` as OpenSSH answers it; `--help` as every command of ours does. */
  | { readonly do: 'usage' | 'help' }
  | { readonly do: 'refuse'; readonly reason: string }

const logLevels = [
  'QUIET',
  'FATAL',
  'ERROR',
  'INFO',
  'VERBOSE',
  'DEBUG',
  'DEBUG1',
  'DEBUG2',
  'DEBUG3',
] as const

/** Reads the flags as getopt does: joined (`-eR`), with the value joined (`-u022`) or apart. */
export function parseFlags(args: readonly string[]): ParsedFlags {
  let flags: SftpServerFlags = { logToStderr: false, facility: 4, logLevel: 'ERROR', readOnly: false }
  const rest = [...args]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--') break
    if (word === '--config' || word.startsWith('--config=')) {
      const config = word === '--config' ? rest.shift() : word.slice('--config='.length)
      if (config === undefined) return refuse('option requires an argument -- config')
      flags = { ...flags, config }
      continue
    }
    if (word === '--help') return { do: 'help' }
    if (!word.startsWith('-') || word === '-') return refuse(`unexpected argument "${word}"`)
    for (let letters = word.slice(1); letters !== '';) {
      const letter = letters.charAt(0)
      letters = letters.slice(1)
      if (letter === 'h') return { do: 'usage' }
      if (letter === 'e') flags = { ...flags, logToStderr: true }
      else if (letter === 'R') flags = { ...flags, readOnly: true }
      else {
        if (!'dflPpQu'.includes(letter)) return refuse(`invalid option -- '${letter}'`)
        const value = letters === '' ? rest.shift() : letters
        if (value === undefined) return refuse(`option requires an argument -- '${letter}'`)
        if (letter === 'Q') return { do: 'query', feature: value }
        const changed = withValue(flags, letter, value)
        if (typeof changed === 'string') return refuse(changed)
        flags = changed
        letters = ''
      }
    }
  }
  return { do: 'serve', flags }
}

function refuse(reason: string): ParsedFlags {
  return { do: 'refuse', reason }
}

function withValue(flags: SftpServerFlags, letter: string, value: string): SftpServerFlags | string {
  switch (letter) {
    case 'd':
      return { ...flags, startDirectory: value }
    case 'f': {
      const facility = facilities[value.toUpperCase()]
      return facility === undefined ? `unsupported log facility "${value}"` : { ...flags, facility }
    }
    case 'l': {
      const level = logLevels.find((name) => name === value.toUpperCase())
      return level === undefined ? `unsupported log level "${value}"` : { ...flags, logLevel: level }
    }
    case 'P':
      if (flags.denied !== undefined) return 'refused requests already set'
      return { ...flags, denied: new Set(value.split(',')) }
    case 'p':
      if (flags.allowed !== undefined) return 'permitted requests already set'
      return { ...flags, allowed: new Set(value.split(',')) }
    default: {
      const umask = /^[0-7]{1,4}$/.test(value) ? Number.parseInt(value, 8) : -1
      return umask < 0 || umask > 0o777 ? `invalid umask "${value}"` : { ...flags, umask }
    }
  }
}
