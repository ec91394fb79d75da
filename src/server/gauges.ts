import type { Meter } from '../base/meter.ts'
import type { Parts } from './parts.ts'

/** Sets the gauges that are looked up when somebody reads the metrics. */
export async function tellGauges({ door, log }: Parts, meter: Meter): Promise<void> {
  await door.measure?.(meter)
  const { connections, halfOpen, sessions } = door.counts()
  meter.set('sftpgo_connections', connections)
  meter.set('sftpgo_connections_half_open', halfOpen)
  meter.set('sftpgo_sessions', sessions)
  meter.set('sftpgo_log_lines_dropped', log.droppedLines + (door.droppedLogLines?.() ?? 0))
}
