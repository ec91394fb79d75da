import type { LoginAuthority } from '../accounts/login-conversation.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { EventLog } from '../events/event-log.ts'
import type { UsageLedger } from '../files/usage-ledger.ts'
import type { StoredSecret } from '../secrets/secret.ts'
import { createAuthorityDesk } from './authority-desk.ts'
import type { AskedOfPrimary, BoardNews, LinkToWorker, SessionEntry, ToldToPrimary } from './contract.ts'
import { createEventDesk } from './event-desk.ts'
import { fieldsOf } from './fields.ts'
import type { HeadCount } from './head-count.ts'
import type { LinkHearers } from './link.ts'
import { takeMetrics } from './metric-desk.ts'
import type { UsageExchange } from './usage-exchange.ts'
import { usageKeysOf } from './usage-keys.ts'

/** What the primary has of everybody, as the desks of its workers use it. */
export interface PrimaryParts {
  readonly authority: LoginAuthority
  readonly events: EventLog
  readonly ledger: UsageLedger
  readonly heads: HeadCount
  readonly exchange: UsageExchange
  /** Opens a stored secret. */
  readonly openSecret: (stored: StoredSecret) => Promise<string>
  /** Whether users have transferred before. */
  readonly hasTransferred: (username: string) => SessionFirsts
  readonly log: Logger
  readonly meter: Meter
}

type SessionFirsts = Extract<SessionEntry, { readonly entered: true }>['firsts']

/** All that one worker asks and tells, in the primary. */
export interface WorkerDesk {
  readonly hearers: LinkHearers
  /** The worker is gone, with its connections, its logins and what it had begun. */
  close(): Promise<void>
}

/** Creates the desk of one worker; `others` hear of its uploads. */
export function createWorkerDesk(
  worker: number,
  link: () => LinkToWorker,
  others: (news: BoardNews) => void,
  parts: PrimaryParts,
): WorkerDesk {
  const { authority, events, heads, exchange, ledger, log, meter } = parts
  const logins = createAuthorityDesk({ worker, authority, heads, link })
  const happenings = createEventDesk({
    ...{ worker, events, log, now: () => Date.now() },
    markFirst: (username, what) => ledger.markFirst(username, what),
  })
  // Reserved by uploads of this worker: free again when it is gone.
  const reserved = new Map<string, Extract<BoardNews, { readonly of: 'reserved' | 'free' }>>()

  const answers: { readonly [K in keyof AskedOfPrimary]: (input: unknown) => Promise<unknown> } = {
    ...logins.answers,
    ...happenings.answers,
    async session(input): Promise<SessionEntry> {
      const principal = heads.enterSession(worker, fieldsOf(input).text('id'))
      if (principal === undefined) return { entered: false }
      const { username, virtual_folders: folders = [] } = principal.user
      const keys = usageKeysOf(
        username,
        folders.map(({ name }) => name),
      )
      return { entered: true, usage: exchange.join(worker, keys), firsts: parts.hasTransferred(username) }
    },
    secret: (input) => parts.openSecret(secretOf(input)),
  }
  const news: { readonly [K in keyof ToldToPrimary]: (news: unknown) => void } = {
    ...logins.news,
    ...happenings.news,
    sessionOver: (told) => heads.leaveSession(worker, fieldsOf(told).text('id')),
    used: (told) => exchange.used(worker, told),
    unused: (told) => exchange.unused(worker, told),
    metrics: (told) => takeMetrics(meter, told),
    board(told) {
      const board = boardNewsOf(told)
      if (board.of === 'reserved') reserved.set(keyOf(board), board)
      if (board.of === 'free') reserved.delete(keyOf(board))
      others(board)
    },
  }
  return {
    hearers: { answers, news },
    async close() {
      logins.close()
      heads.forget(worker)
      exchange.forget(worker)
      for (const each of reserved.values()) others({ ...each, of: 'free' })
      await happenings.close()
    },
  }
}

function keyOf({ root, final }: { readonly root: string; readonly final: string }): string {
  return `${root}\0${final}`
}

function boardNewsOf(told: unknown): BoardNews {
  const fields = fieldsOf(told)
  // Paths are the worker's own canonical ones; they only go on to workers.
  const path = (name: string): VirtualPath => fields.text(name) as VirtualPath
  const root = fields.text('root')
  const of = fields.text('of')
  if (of === 'moved') return { of, root, from: path('from'), to: path('to') }
  if (of === 'reserved' || of === 'free') return { of, root, final: path('final') }
  throw new TypeError('Not news of an upload')
}

function secretOf(input: unknown): StoredSecret {
  const fields = fieldsOf(input)
  for (const name of ['status', 'payload', 'key', 'additional_data', 'url']) fields.optionalText(name)
  if (fields.has('mode')) fields.number('mode')
  return input as StoredSecret // every field has just been looked at
}
