import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { StopPace } from './end-life.ts'
import type { HostDeath } from './host-death.ts'
import type { ObservedCall } from './observed-call.ts'
import type { ProcessRecords } from './process-record.ts'
import type { RestartPace } from './restart-policy.ts'
import type { SupervisionPace } from './supervise.ts'

/** What all instances of a host share. */
export interface InstanceSurroundings {
  readonly log: Logger
  readonly meter: Meter
  readonly clock: Clock
  readonly hostDeath: HostDeath
  readonly records: ProcessRecords
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where private copies are made. */
  readonly runFolder: string
  readonly runFrom: 'memory' | 'file'
  readonly startTimeoutMs: number
  /** Entries marked `dev` may run without a checksum. */
  readonly allowDev: boolean
  /** Entries may switch mutual TLS off. */
  readonly allowPlaintext: boolean
  readonly pace: InstancePace
  /** Hears of every call with all that is in it; only for who develops plugins. */
  readonly onCall?: (call: ObservedCall) => void
}

/** How fast things happen; tests make them faster. */
export interface InstancePace extends RestartPace {
  readonly supervision?: SupervisionPace
  readonly stop?: StopPace
  /** How often the bytes of a program that may not run are hashed again, and how often its file is looked at. */
  readonly hashAgainMs: number
  readonly lookAgainMs: number
}

/** The pace of a server. */
export const usualPace: InstancePace = {
  firstRestartMs: 250,
  mostRestartMs: 60_000,
  mostStarts: 20,
  startsWithinMs: 600_000,
  forgivenAfterMs: 60_000,
  hashAgainMs: 60_000,
  lookAgainMs: 1000,
}
