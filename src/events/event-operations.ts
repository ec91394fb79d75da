import { delay } from '../base/deadline.ts'
import { ConfigError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { displayName } from '../base/virtual-path.ts'
import { matches } from './event-filter.ts'
import type { ArchivedEvent, ChangeReport, Delivery, EventArchive, Selection } from './event-archive.ts'

/** What can be asked about events, by name: over the control socket, or by a command itself where no server runs. */
export type EventOperations = Readonly<
  Record<string, (input: unknown, stream?: EventStream) => Promise<unknown>>
>

/** Where `events tail` sends to. */
export interface EventStream {
  readonly signal: AbortSignal
  send(item: unknown): Promise<void>
}

/** An event as commands show it. */
export interface EventView {
  readonly id: string
  readonly sequence: number
  readonly time: string
  readonly action: string
  readonly username: string
  readonly path: string
  readonly targetPath?: string
  readonly size?: number
  /** 1 done, 2 failed, 3 over quota; file events only. */
  readonly status?: number
  readonly address: string
  readonly deliveries: readonly Delivery[]
  /** Everything, where it was asked for. */
  readonly event?: object
}

/** What the operations act on. */
export interface EventOperationsOptions {
  readonly archive: EventArchive
  readonly log: Logger
  /** How long `tail` waits before it looks again; default 200 ms. */
  readonly tailMs?: number
}

const mostListed = 10_000

/** Creates the operations. Inputs are checked here: they come from another process. */
export function createEventOperations({
  archive,
  log,
  tailMs = 200,
}: EventOperationsOptions): EventOperations {
  return {
    'events list': async (input) =>
      (await archive.list(selectionOf(input), limitOf(input))).map((event) => viewOf(event)),
    'events show': async (input) => {
      const id = textOf(input, 'id') ?? ''
      const found = archive.find(id)
      if (found === undefined) throw new ConfigError('missing-key', `There is no event "${id}"`)
      return { ...viewOf(found), event: found.event }
    },
    'events parked': async (input) =>
      archive.parked(textOf(input, 'notifier'), limitOf(input)).map((event) => viewOf(event)),
    'events replay': async (input) => {
      const selection = selectionOf(input)
      requireSelection(selection)
      return told('events replayed', await archive.replay(selection, actorOf(input)), input)
    },
    'events drop': async (input) => {
      const selection = selectionOf(input)
      requireSelection(selection)
      const reason = textOf(input, 'reason') ?? ''
      if (reason.trim() === '') throw new ConfigError('missing-key', 'Dropping events wants a reason')
      return told('events dropped', await archive.drop({ ...selection, reason }, actorOf(input)), input)
    },
    async 'events tail'(input, stream) {
      if (stream === undefined) throw new ConfigError('conflict', 'Only a running server can be followed')
      const selection = selectionOf(input)
      for (let last = archive.newest(); !stream.signal.aborted;) {
        const events = archive.after(last, 100)
        last = events.at(-1)?.seq ?? last
        for (const event of events)
          if (matches(selection, event, event.event)) await stream.send(viewOf(event))
        if (events.length === 0) await delay(tailMs, stream.signal)
      }
      return undefined
    },
  }

  function told(message: string, report: ChangeReport, input: unknown): ChangeReport {
    log.warn(message, { ...report, by: actorOf(input), reason: textOf(input, 'reason') })
    return report
  }
}

/** Everything at once is never meant by leaving everything out. */
function requireSelection(selection: Selection): void {
  if (Object.values(selection).every((value) => value === undefined || value === false))
    throw new ConfigError(
      'missing-key',
      'Say which events: by id, user, path, action, time, or all that are parked',
    )
}

function viewOf({ id, seq, createdMs, action, event, deliveries }: ArchivedEvent): EventView {
  const base = { id, sequence: seq, time: new Date(createdMs).toISOString(), action, deliveries }
  const who = { username: event.username, address: event.address }
  switch (event.kind) {
    case 'file':
      return {
        ...base,
        ...who,
        path: displayName(event.path),
        ...(event.targetPath === undefined ? {} : { targetPath: displayName(event.targetPath) }),
        ...{ size: event.size, status: event.status },
      }
    case 'provider':
      return { ...base, ...who, path: `${event.objectType} ${event.objectName}` }
    case 'log':
      return { ...base, ...who, path: event.message }
  }
}

function selectionOf(input: unknown): Selection {
  const fields = fieldsOf(input)
  const ids = fields['ids']
  if (ids !== undefined && !(Array.isArray(ids) && ids.every((id) => typeof id === 'string')))
    throw new ConfigError('wrong-type', '"ids" is not a list of event ids')
  const optional = {
    // Just checked.
    ids: ids as readonly string[] | undefined,
    username: textOf(input, 'username'),
    path: textOf(input, 'path'),
    action: textOf(input, 'action'),
    notifier: textOf(input, 'notifier'),
    sinceMs: numberOf(input, 'sinceMs'),
    untilMs: numberOf(input, 'untilMs'),
    parkedOnly: fields['parkedOnly'] === true ? true : undefined,
  }
  // What is undefined is left out, so the optional fields are either absent or of their type.
  return Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as Selection
}

function limitOf(input: unknown): number {
  return Math.min(Math.max(1, Math.trunc(numberOf(input, 'limit') ?? 50)), mostListed)
}

function actorOf(input: unknown): string {
  return textOf(input, 'actor') ?? '__system__'
}

function textOf(input: unknown, name: string): string | undefined {
  const value = fieldsOf(input)[name]
  if (value === undefined || typeof value === 'string') return value
  throw new ConfigError('wrong-type', `"${name}" is not text`)
}

function numberOf(input: unknown, name: string): number | undefined {
  const value = fieldsOf(input)[name]
  if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value
  throw new ConfigError('wrong-type', `"${name}" is not a number`)
}

function fieldsOf(input: unknown): Readonly<Record<string, unknown>> {
  // Its fields stay unknown; whoever reads them checks them.
  return typeof input === 'object' && input !== null ? (input as Readonly<Record<string, unknown>>) : {}
}
