import type { Clock } from '../base/clock.ts'
import { FileError } from '../base/errors.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import type { Principal } from '../accounts/principal.ts'
import type { EventLog, IntentCheck } from '../events/event-log.ts'
import type { EventStatus, FileAction, FileEvent } from '../events/event.ts'
import { realPathOf, type Place } from './mounts.ts'

/** What differs from one event of a person to the next. */
export interface Happening {
  readonly action: FileAction
  readonly place: Place
  readonly target?: Place
  readonly size?: number
  readonly status?: EventStatus
  readonly openFlags?: number
  readonly elapsedMs?: number
  readonly metadata?: Readonly<Record<string, string>>
}

/** Tells of what one person does with files. Where nobody asked, nothing is done and nothing waits. */
export interface Happenings {
  wants(action: FileAction): boolean
  eventOf(happening: Happening): FileEvent
  /** Does something with the event around it: written down before, committed after, and only then answered. */
  around<T>(happening: Happening, check: () => Soon<IntentCheck>, effect: () => Soon<T>): Soon<T>
  /** Tells of something that needed no intent. */
  record(happening: Happening): Soon<void>
  /** Tells that something is about to happen, and throws `permission-denied` when somebody who may says no. */
  ask(happening: Happening): Soon<void>
  readonly log: EventLog
  readonly clock: Clock
}

/** Creates the teller of one person's session. */
export function createHappenings(options: {
  readonly principal: Principal
  readonly log: EventLog
  readonly clock: Clock
  readonly protocol: string
  readonly sessionId: string
}): Happenings {
  const { principal, log, clock, protocol, sessionId } = options
  const eventOf = (happening: Happening): FileEvent => ({
    kind: 'file',
    action: happening.action,
    username: principal.user.username,
    role: principal.user.role ?? '',
    path: happening.place.path,
    ...(happening.target === undefined
      ? {}
      : { targetPath: happening.target.path, storageTargetPath: realPathOf(happening.target) }),
    storagePath: realPathOf(happening.place),
    size: happening.size ?? 0,
    status: happening.status ?? 1,
    protocol,
    address: principal.address,
    sessionId,
    filesystemProvider: happening.place.mount.provider,
    openFlags: happening.openFlags ?? 0,
    elapsedMs: happening.elapsedMs ?? 0,
    ...(happening.metadata === undefined ? {} : { metadata: happening.metadata }),
  })
  return {
    log,
    clock,
    eventOf,
    wants: (action) => log.wants(action),
    around(happening, check, effect) {
      return log.wants(happening.action) ? withIntent(happening, check, effect) : effect()
    },
    record: (happening) => (log.wants(happening.action) ? log.record(eventOf(happening)) : undefined),
    ask: (happening) => (log.wants(happening.action) ? askFirst(eventOf(happening)) : undefined),
  }

  /** Nothing is written down where the effect did not take place. */
  function withIntent<T>(
    happening: Happening,
    check: () => Soon<IntentCheck>,
    effect: () => Soon<T>,
  ): Soon<T> {
    const event = eventOf(happening)
    return whenReady(
      whenReady(check(), (facts) => log.intend({ event, check: facts })),
      (intent) =>
        whenReady(
          recovering<T>(effect, (error) =>
            whenReady(intent.abandon(), () => {
              throw error
            }),
          ),
          (value) => whenReady(intent.commit(event), () => value),
        ),
    )
  }

  function askFirst(event: FileEvent): Soon<void> {
    return whenReady(log.permits(event), (permitted) => {
      if (!permitted) throw new FileError('permission-denied', 'Cannot do this: a plugin refused it')
      return log.record(event)
    })
  }
}
