import { messageOf } from '../base/errors.ts'
import { formatProblem } from '../config/problems.ts'
import { announcement } from './announcement.ts'
import { createServer } from './create-server.ts'
import { pluginEntries } from './plugin-entries.ts'
import { watchSignals } from './process-signals.ts'
import type { RunningServer, ServerOptions } from './running-server.ts'
import { openServiceManager } from './service-manager.ts'

/** Runs a server as the life of this process: from the start to the signal that ends it. The exit code. */
export async function runServer(options: ServerOptions, graceMs?: number): Promise<number> {
  const server = await createServer(options)
  const manager = openServiceManager(process.env)
  const told = new Promise<string>((resolve) => {
    watchSignals(
      {
        stop: resolve,
        leave: () => process.exit(1),
        reload() {
          manager.reloading()
          void reload(server).finally(() => manager.ready('running'))
        },
      },
      server.log,
    )
  })
  const unverified = unverifiedPlugins(options)
  if (unverified !== undefined) server.log.warn('plugins run unverified', { plugins: unverified })
  process.stdout.write(announcement(server, { ...(unverified !== undefined && { unverified }) }))
  manager.ready(`listening on port ${server.addresses[0]?.port ?? 0}`)
  const signal = await told
  manager.stopping()
  server.log.info('stopping', { signal })
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
