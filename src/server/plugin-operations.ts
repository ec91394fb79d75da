import type { LogLevel } from '../base/log.ts'
import type { ControlOperations } from '../control/control-server.ts'
import type { PluginHost } from '../host/host.ts'
import type { OutputRecord } from '../host/output.ts'
import { isAtLeast } from '../host/plugin-log.ts'
import type { PluginStatus } from '../host/plugin-status.ts'

/** Why a plugin is as it is: its state and what it said last. */
export interface PluginStory {
  readonly status: PluginStatus
  readonly said: readonly OutputRecord[]
}

/** What commands can ask about the plugins of a running server. */
export function pluginOperations(host: PluginHost): ControlOperations {
  return {
    'plugin-status': () => host.status(),
    'plugin-restart': (input) => host.restart(nameIn(input)),
    'plugin-why': (input): PluginStory => {
      const name = nameIn(input)
      const said = host.recentOutput(name).slice(-20)
      // Just found by its name.
      const status = host.status().find((candidate) => candidate.name === name) as PluginStatus
      return { status, said }
    },
    'plugin-logs': async (input, call) => {
      const name = nameIn(input)
      const wanted = (record: OutputRecord): boolean => isAtLeast(record.level, levelIn(input))
      for (const record of host.recentOutput(name).filter(wanted)) await call.send(record)
      if (fieldOf(input, 'follow') !== true || call.signal.aborted) return
      await new Promise<void>((resolve) => {
        const end = host.followOutput(name, (record) => {
          if (wanted(record)) void call.send(record)
        })
        call.signal.addEventListener('abort', () => {
          end()
          resolve()
        })
      })
    },
  }
}

function nameIn(input: unknown): string {
  const name = fieldOf(input, 'name')
  if (typeof name !== 'string') throw new TypeError('The name of a plugin is needed')
  return name
}

function levelIn(input: unknown): LogLevel {
  const level = fieldOf(input, 'level')
  const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']
  return levels.find((candidate) => candidate === level) ?? 'trace'
}

function fieldOf(input: unknown, name: string): unknown {
  if (typeof input !== 'object' || input === null) return undefined
  // An object, as just checked; the field is looked at by the caller.
  return (input as Readonly<Record<string, unknown>>)[name]
}
