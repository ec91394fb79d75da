import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { openPluginHost, type PluginHost, type PluginHostOptions } from '../../src/host/host.ts'
import type { PluginEntry } from '../../src/host/plugin-entry.ts'
import type { PluginStatus } from '../../src/host/plugin-status.ts'
import { fixturePlugin } from './fixture-plugin.ts'
import { recordingLog } from './recording-log.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A host in a folder of its own, with what it logged. */
export interface TestHost extends AsyncDisposable {
  readonly host: PluginHost
  readonly log: ReturnType<typeof recordingLog>
  readonly folder: string
  status(name?: string): PluginStatus
  /** Waits until the status of a plugin is as `condition` says. */
  until(condition: (status: PluginStatus) => boolean, ms?: number, name?: string): Promise<PluginStatus>
}

/** An entry of the fixture that misbehaves in one way. */
export async function misbehaving(mode: string, more: Partial<PluginEntry> = {}): Promise<PluginEntry> {
  const { cmd, sha256sum } = await fixturePlugin()
  return { name: 'it', type: 'ipfilter', cmd, sha256sum, args: [mode], envPrefix: 'none', ...more }
}

/** Opens a host and does not wait for its plugins. */
export async function openTestHost(
  entries: readonly PluginEntry[],
  options: Partial<PluginHostOptions> = {},
): Promise<TestHost> {
  const folder = temporaryDirectory()
  const log = recordingLog()
  const host = await openPluginHost({
    ...{ entries, log, stateFolder: folder.path, startTimeoutMs: 10_000 },
    ...options,
    pace: { firstRestartMs: 50, lookAgainMs: 50, ...options.pace },
  })
  const status = (name = entries[0]?.name ?? ''): PluginStatus => {
    const found = host.status().find((candidate) => candidate.name === name)
    if (found === undefined) throw new Error(`There is no plugin "${name}"`)
    return found
  }
  return {
    ...{ host, log, status, folder: folder.path },
    async until(condition, ms = 10_000, name) {
      const end = performance.now() + ms
      while (!condition(status(name))) {
        expect(performance.now(), `still ${JSON.stringify(status(name))}`).toBeLessThan(end)
        await sleep(5)
      }
      return status(name)
    },
    async [Symbol.asyncDispose]() {
      await host.close()
      folder[Symbol.dispose]()
    },
  }
}

/** Whether a process runs. One that is dead and not yet asked about does not. */
export async function isRunning(pid: number | undefined): Promise<boolean> {
  if (pid === undefined) return false
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const { readFileSync, existsSync } = await import('node:fs')
  const status = `/proc/${pid}/status`
  return !existsSync(status) || !/^State:\s+Z/m.test(readFileSync(status, 'latin1'))
}

/** The plugin processes that this process started and that still run. */
export async function pluginProcesses(): Promise<number[]> {
  const { readdirSync, readFileSync } = await import('node:fs')
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        if (parent !== String(process.pid) || state === 'Z') return false
        // A sealed copy, or a private one.
        return /\/proc\/self\/fd\/3|\/run\/copy-/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'))
      } catch {
        return false
      }
    })
}
