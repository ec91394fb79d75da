import type { Meter } from '../base/meter.ts'
import type { Parts } from './parts.ts'

const states = ['stopped', 'verifying', 'starting', 'ready', 'waiting', 'failed', 'stopping'] as const

/** Sets the gauges that are looked up when somebody reads the metrics. */
export function tellGauges({ door, host, log }: Parts, meter: Meter): void {
  const connections = door.connections()
  meter.set('sftpgo_connections', connections.length)
  meter.set(
    'sftpgo_sessions',
    connections.reduce((sum, { sessions }) => sum + sessions, 0),
  )
  meter.set('sftpgo_log_lines_dropped', log.droppedLines)
  for (const { name, state } of host.status()) {
    for (const each of states)
      meter.set('sftpgo_plugin_state', each === state ? 1 : 0, { instance: name, state: each })
  }
}
