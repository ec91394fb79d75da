import type { Logger } from '../base/log.ts'
import type { LinkToPrimary } from './contract.ts'
import { createLink, type LinkHearers } from './link.ts'
import { portToPrimary } from './process-port.ts'

/**
 * Opens a worker's end of the line to the primary. From here on the primary decides when this process ends: signals
 * that a terminal or a service manager sends to the whole group are for the primary, and without it nothing goes on.
 */
export function openWorkerEnd(hearers: LinkHearers, log: Logger): LinkToPrimary {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  // At once: the next life of the server settles what this one leaves, and must not find it still at work.
  process.on('disconnect', () => process.exit(1))
  return createLink({ port: portToPrimary(), ...hearers, log })
}
