import { messageOf } from '../base/errors.ts'
import { formatProblem } from '../config/problems.ts'
import { announcement } from './announcement.ts'
import { createServer } from './create-server.ts'
import { pluginEntries } from './plugin-entries.ts'
import { watchSignals } from './process-signals.ts'
import type { RunningServer, ServerOptions } from './running-server.ts'
import { openServiceManager, printsIntoJournal } from './service-manager.ts'

/** How long things last. */
export interface RunTimes {
  /** How long transfers may go on at the end; default: what the configuration says. */
  readonly graceMs?: number
  /** After so long a server for development ends by itself. */
  readonly devTimeMs?: number
}

/** Runs a server as the life of this process: from the start to the signal that ends it. The exit code. */
export async function runServer(
  options: ServerOptions,
  { graceMs, devTimeMs }: RunTimes = {},
): Promise<number> {
  const manager = openServiceManager(process.env)
  const unwanted = new AbortController()
  let server: RunningServer | undefined
  // From the very start: a signal that nobody listens for ends the process and leaves everything as it lies.
  let end: (why: string) => void = () => {}
  const told = new Promise<string>((resolve) => {
    end = resolve
    watchSignals({
      stop(signal) {
        unwanted.abort()
        resolve(signal)
      },
      leave(signal) {
        server?.log.warn('second signal, leaving at once', { signal })
        process.exit(1)
      },
      reload() {
        // While it starts, the configuration has just been read.
        if (server === undefined) return
        manager.reloading()
        void reload(server).finally(() => manager.ready('running'))
      },
    })
  })
  process.on('unhandledRejection', (error) => {
    if (server === undefined) process.stderr.write(`unhandled rejection: ${messageOf(error)}\n`)
    else server.log.error('unhandled rejection', { error: messageOf(error) })
  })
  try {
    server = await createServer({
      ...options,
      signal: unwanted.signal,
      withoutFirstAccount: printsIntoJournal(process.env),
    })
  } catch (error) {
    if (unwanted.signal.aborted) return 0
    throw error
  }
  const { log } = server
  const unverified = unverifiedPlugins(options)
  if (unverified !== undefined) log.warn('plugins run unverified', { plugins: unverified })
  process.stdout.write(announcement(server, { ...(unverified !== undefined && { unverified }) }))
  manager.ready(`listening on port ${server.addresses[0]?.port ?? 0}`)
  const expired =
    devTimeMs === undefined ? undefined : setTimeout(end, devTimeMs, 'the time of --dev-plugins is over')
  const signal = await told
  clearTimeout(expired)
  manager.stopping()
  log.info('stopping', { signal })
  await server.close(graceMs)
  manager.close()
  return 0
}

/** The entries that may run without a checksum; undefined where none may. */
function unverifiedPlugins({ config, devPlugins }: ServerOptions): string[] | undefined {
  if (devPlugins !== true) return undefined
  return pluginEntries(config)
    .filter(({ dev, enabled }) => dev === true && enabled !== false)
    .map(({ name }) => name)
}

async function reload(server: RunningServer): Promise<void> {
  try {
    const outcome = await server.reload()
    if (outcome.ok) return
    for (const problem of outcome.problems)
      server.log.error('configuration mistake', { problem: formatProblem(problem) })
  } catch (error) {
    server.log.error('reload failed', { error: messageOf(error) })
  }
}
