import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { displayName } from '../base/virtual-path.ts'
import type { EventLog, FileIntent, Intent } from '../events/event-log.ts'
import type { FileEvent } from '../events/event.ts'
import { reconcile } from '../events/reconcile.ts'
import type { FirstTransfer } from './contract.ts'
import { type Fields, fieldsOf } from './fields.ts'
import { fileEventOf, fileIntentOf, logEventOf } from './sent-events.ts'

/** Where one worker's events are written down. */
export interface EventDesk {
  readonly answers: Readonly<
    Record<'intend' | 'commit' | 'abandon' | 'record' | 'permits', (input: unknown) => Promise<unknown>>
  >
  readonly news: Readonly<Record<'log' | 'first', (news: unknown) => void>>
  /** The worker is gone: what it had begun is held against the disk, as after a crash of the whole server. */
  close(): Promise<void>
}

/** What the desk writes with. */
export interface EventDeskOptions {
  readonly worker: number
  readonly events: EventLog
  /** True once in a user's lifetime for each of the two. */
  readonly markFirst: (username: string, what: FirstTransfer) => boolean
  readonly now: () => number
  readonly log: Logger
}

interface OpenIntent {
  readonly intent: Intent
  readonly sent: FileIntent
  readonly createdMs: number
}

/** Creates it. */
export function createEventDesk({ worker, events, markFirst, now, log }: EventDeskOptions): EventDesk {
  const open = new Map<number, OpenIntent>()
  // Intents that are being written down: they belong to the worker too.
  const begun = new Set<Promise<unknown>>()
  const firsts = new Set<string>()
  let last = 0
  let gone = false

  const taken = (fields: Fields): OpenIntent => {
    const number = fields.number('intent')
    const found = open.get(number)
    if (found === undefined) throw new TypeError('There is no such intent')
    open.delete(number)
    return found
  }
  const intend = async (input: unknown): Promise<number> => {
    const sent = fileIntentOf(input)
    const createdMs = now()
    const number = ++last
    open.set(number, { intent: await events.intend(sent), sent, createdMs })
    return number
  }
  const settle = async ({ intent, sent, createdMs }: OpenIntent): Promise<void> => {
    const { event, check } = sent
    const finding = reconcile({ id: '', event, check, createdMs })
    log.warn('intent of a worker that ended settled', {
      ...{ worker, found: finding.found, action: event.action, username: event.username },
      path: displayName(event.path),
    })
    await ('event' in finding ? intent.commit(finding.event) : intent.abandon())
  }
  return {
    answers: {
      intend(input) {
        const work = intend(input)
        begun.add(work)
        return work.finally(() => begun.delete(work))
      },
      async commit(input) {
        const fields = fieldsOf(input)
        const event = fileEventOf(fields.object('event'))
        await taken(fields).intent.commit(event)
      },
      abandon: async (input) => taken(fieldsOf(input)).intent.abandon(),
      async record(input) {
        const event = fileEventOf(input)
        if (isFirst(event) && !firsts.delete(firstKey(event.username, event.action))) return
        await events.record(event)
      },
      permits: async (input) => events.permits(fileEventOf(input)),
    },
    news: {
      log: (news) => events.recordLog(logEventOf(news)),
      first(news) {
        const fields = fieldsOf(news)
        const [username, what] = [fields.text('username'), fields.text('what')]
        if (what !== 'first-upload' && what !== 'first-download')
          throw new TypeError('Neither upload nor download')
        // Two workers may both believe theirs is the first: the one that is told first, is.
        if (!gone && markFirst(username, what) && events.wants(what)) firsts.add(firstKey(username, what))
      },
    },
    async close() {
      gone = true
      await Promise.allSettled(begun)
      const left = [...open.values()]
      open.clear()
      const settled = await Promise.allSettled(left.map(settle))
      for (const outcome of settled)
        if (outcome.status === 'rejected')
          log.error('intent of a worker not settled', { worker, error: messageOf(outcome.reason) })
    },
  }
}

function isFirst({ action }: FileEvent): boolean {
  return action === 'first-upload' || action === 'first-download'
}

function firstKey(username: string, what: string): string {
  return `${what} ${username}`
}
