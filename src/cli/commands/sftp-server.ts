import { userInfo } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { nameFromText, rootPath, virtualPath, type VirtualPath } from '../../base/virtual-path.ts'
import { createKernelFiles } from '../../files/kernel-files.ts'
import type { UserFiles } from '../../files/user-files.ts'
import { createBufferPool } from '../../sftp/buffer-pool.ts'
import { createNodeStream } from '../../sftp/node-stream.ts'
import { requestNames } from '../../sftp/operations/index.ts'
import { packetBufferBytes, serveSession } from '../../sftp/serve-session.ts'
import type { Backend } from '../../storage/backend.ts'
import { openLocalBackend } from '../../storage/local.ts'
import type { RawCommand } from '../command.ts'
import { parseFlags, type SftpServerFlags } from '../sftp-server/flags.ts'
import { machinePeople } from '../sftp-server/machine-people.ts'
import { createPlainLog } from '../sftp-server/plain-log.ts'
import { createSystemLog } from '../sftp-server/system-log.ts'
import { createToldFiles } from '../sftp-server/told-files.ts'

/** Where the program's three streams are. */
export interface SftpServerStreams {
  readonly input: Readable
  readonly output: Writable
  readonly error: Writable
}

/** A drop-in for OpenSSH's `sftp-server`: SFTP on standard input and output, as the user who runs it. */
export const sftpServer: RawCommand = {
  raw: true,
  run: (args) => runSftpServer(args, { input: process.stdin, output: process.stdout, error: process.stderr }),
}

/** Serves one conversation with the kernel's permissions as the only ones; returns the exit code. */
export async function runSftpServer(args: readonly string[], streams: SftpServerStreams): Promise<number> {
  const parsed = parseFlags(args)
  switch (parsed.do) {
    case 'usage':
      streams.error.write(usage)
      return 1
    case 'help':
      streams.output.write(usage + help)
      return 0
    case 'refuse':
      streams.error.write(`sftp-server: ${parsed.reason}\n${usage}`)
      return 1
    case 'query':
      return answerQuery(parsed.feature, streams)
    case 'serve':
      return serve(parsed.flags, streams)
  }
}

const usage = `usage: sftp-server [-ehR] [-d start_directory] [-f log_facility] [-l log_level]
	[-P denied_requests] [-p allowed_requests] [-u umask] [--config file]
       sftp-server -Q protocol_feature
`

const help = `
Serves SFTP on standard input and output as the user who runs it, as OpenSSH's program of that name.

Options:
  -d folder     where relative names start; %d is the home, %u the user
  -e            log to standard error, not to the system's log
  -l level      log from this level on (ERROR): INFO tells of each file
  -R            nothing may be changed
  -P, -p names  refuse these requests, or all but these
  -Q requests   list the names of the requests
  -u umask      mask of new files and folders
  -f facility   of the system's log (AUTH)
  --config file take upload_mode and its neighbours from this configuration

Examples:
  Subsystem sftp /usr/local/bin/sftpgo-ts sftp-server        (one line of sshd_config)
  sftpgo-ts sftp-server -e -R -d /srv/public
`

function answerQuery(feature: string, { output, error }: SftpServerStreams): number {
  if (feature !== 'requests') {
    error.write(`Invalid query type "${feature}"\n`)
    return 1
  }
  output.write(`${requestNames.join('\n')}\n`)
  return 0
}

async function serve(flags: SftpServerFlags, { input, output, error }: SftpServerStreams): Promise<number> {
  if (flags.umask !== undefined) process.umask(flags.umask)
  const log = createPlainLog(
    flags.logToStderr
      ? (level, line) => void error.write(`sftp-server[${process.pid}]: ${level}: ${line}\n`)
      : createSystemLog(flags.facility),
    flags.logLevel,
  )
  // As OpenSSH's program, which serves on: a line of sshd_config may name requests of newer versions.
  for (const name of [...(flags.denied ?? []), ...(flags.allowed ?? [])])
    if (!requestNames.includes(name)) log.error('no request has this name of -P or -p', { name })
  const backend = openLocalBackend({ root: '/', confined: false })
  const { home, start, whose } = startOf(flags, log)
  const plainFiles = await filesFor(flags, backend, start)
  const files = log.isEnabled('info') ? createToldFiles(plainFiles, log) : plainFiles
  log.info(`session opened for ${whose}`)
  let told: (status: number) => void = () => {}
  const exitCode = new Promise<number>((resolve) => {
    told = resolve
  })
  const stream = createNodeStream(input, output, told)
  const session = serveSession(stream, files, {
    log,
    people: machinePeople({ home }),
    readOnly: flags.readOnly,
    allows: (name) => flags.denied?.has(name) !== true && flags.allowed?.has(name) !== false,
    buffers: createBufferPool({ bufferBytes: packetBufferBytes, keep: 8 }),
    bounds: { handles: 1024 },
  })
  const end = await session.ended
  log.info(`session closed for ${whose}`)
  await files.close()
  await backend.close()
  return end === 'stream-closed' ? 1 : exitCode
}

/** The caller's home, and where relative paths start: there or at `-d`, with OpenSSH's `%d`, `%u` and `%%`. */
function startOf(
  { startDirectory }: SftpServerFlags,
  log: Logger,
): { home: VirtualPath; start: VirtualPath; whose: string } {
  const { homedir, username } = whoRuns(log)
  const home = virtualPath(nameFromText(homedir))
  // sshd tells its programs where the client is.
  const [address = 'UNKNOWN'] = process.env['SSH_CONNECTION']?.split(' ') ?? []
  const whose = `local user ${username} from [${address}]`
  if (startDirectory === undefined) return { home, start: home, whose }
  const expanded = startDirectory.replace(/%([%du])/g, (_, token: string) => {
    return token === 'd' ? homedir : token === 'u' ? username : '%'
  })
  return { home, start: virtualPath(nameFromText(expanded), home), whose }
}

/** A user without a line in the list of users (containers) is at home in the root. */
function whoRuns(log: Logger): { readonly homedir: string; readonly username: string } {
  try {
    return userInfo()
  } catch (error) {
    log.warn('no account for this user id', { error: messageOf(error) })
    return { homedir: rootPath, username: String(process.getuid?.() ?? '') }
  }
}

/** In place, unless a configuration asks for another `upload_mode`; only then is it read. */
async function filesFor(
  { config }: SftpServerFlags,
  backend: Backend,
  start: VirtualPath,
): Promise<UserFiles> {
  if (config === undefined) return createKernelFiles(backend, start)
  const { filesByConfig } = await import('../sftp-server/files-by-config.ts')
  return filesByConfig(config, backend, start)
}
