import type { Meter } from '../base/meter.ts'
import type { Parts } from './parts.ts'

/** Sets the gauges that are looked up when somebody reads the metrics. */
export function tellGauges({ door, log }: Parts, meter: Meter): void {
  const connections = door.connections()
  meter.set('sftpgo_connections', connections.length)
  meter.set(
    'sftpgo_connections_half_open',
    connections.filter(({ username }) => username === undefined).length,
  )
  meter.set(
    'sftpgo_sessions',
    connections.reduce((sum, { sessions }) => sum + sessions, 0),
  )
  meter.set('sftpgo_log_lines_dropped', log.droppedLines)
}
