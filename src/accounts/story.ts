import { randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { AddressCheck } from './login-conversation.ts'

/** What happened in one login, from greeting to verdict: what the log says and what `sftpgo-ts why ID` answers. */
export interface LoginStory {
  /** Eight characters that the client hears when it is refused. */
  readonly id: string
  readonly connectionId: string
  readonly address: string
  readonly clientVersion: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly username: string
  readonly outcome: 'under way' | 'granted' | 'refused' | 'left'
  /** How it was proved, when it was granted. */
  readonly method?: string
  readonly elapsedMs: number
  readonly steps: readonly StoryStep[]
}

/** One thing that was asked or decided. */
export interface StoryStep {
  /** Milliseconds from the start. */
  readonly atMs: number
  /** The login method it belongs to, or `connection` for what was asked before any. */
  readonly method: string
  /** Who decided: `address`, `cache`, `plugin NAME`, `store`, `key`, `certificate`, `second factor`, `conditions`, `verdict`. */
  readonly by: string
  readonly result: 'ok' | 'refused' | 'failed' | 'skipped'
  readonly reason?: string
  readonly elapsedMs: number
}

/** A story while it is being written. */
export interface StoryWriter {
  readonly id: string
  readonly story: LoginStory
  named(username: string): void
  /** Notes a step; what began at `since` (monotonic) took until now. */
  note(step: Omit<StoryStep, 'atMs' | 'elapsedMs'>, since: number): void
  end(outcome: 'granted' | 'refused' | 'left', method?: string): LoginStory
}

/** The stories of the last logins, in memory. */
export interface Stories {
  begin(connection: StoryBeginning): StoryWriter
  find(id: string): LoginStory | undefined
  /** The newest first. */
  latest(limit: number): LoginStory[]
}

/** What is known when a story begins. */
export interface StoryBeginning extends Pick<LoginStory, 'connectionId' | 'address' | 'clientVersion'> {
  /** What was said about the address before. */
  readonly checks?: readonly AddressCheck[]
}

/** How much is remembered. */
export interface StoriesOptions {
  readonly clock: Clock
  /** Default 2,000 stories. */
  readonly most?: number
}

/** Steps of one story that are kept; a connection is closed long before by its limit of attempts. */
const mostSteps = 100

/** Creates the memory of logins. The oldest story goes when a new one needs its place. */
export function createStories({ clock, most = 2_000 }: StoriesOptions): Stories {
  const stories = new Map<string, () => LoginStory>()
  return {
    begin({ checks = [], ...connection }) {
      const id = newId(stories)
      const began = clock.monotonic()
      const startedAt = clock.now()
      // The address was judged before the story's time began.
      const steps: StoryStep[] = checks.map((check) => ({
        ...{ ...check, atMs: 0, method: 'connection', elapsedMs: rounded(check.elapsedMs) },
      }))
      let username = ''
      let ended: { outcome: LoginStory['outcome']; method?: string; elapsedMs: number } | undefined
      const read = (): LoginStory => ({
        id,
        ...connection,
        startedAt,
        username,
        ...(ended ?? { outcome: 'under way', elapsedMs: rounded(clock.monotonic() - began) }),
        steps: [...steps],
      })
      stories.set(id, read)
      if (stories.size > most) {
        const [oldest] = stories.keys()
        if (oldest !== undefined) stories.delete(oldest)
      }
      return {
        id,
        get story() {
          return read()
        },
        named(name) {
          username = name
        },
        note(step, since) {
          if (steps.length >= mostSteps) return
          const now = clock.monotonic()
          steps.push({ ...step, atMs: rounded(since - began), elapsedMs: rounded(now - since) })
        },
        end(outcome, method) {
          ended ??= {
            outcome,
            elapsedMs: rounded(clock.monotonic() - began),
            ...(method !== undefined && { method }),
          }
          return read()
        },
      }
    },
    find: (id) => stories.get(id.toLowerCase())?.(),
    latest: (limit) =>
      [...stories.values()]
        .slice(-limit)
        .toReversed()
        .map((read) => read()),
  }
}

// Without letters that look like digits or each other: people read these out on the telephone.
const letters = 'abcdefghjkmnpqrstvwxyz23456789'

function newId(taken: ReadonlyMap<string, unknown>): string {
  for (;;) {
    // 30 letters do not divide 256; the slight preference for some of them does no harm in a name.
    const id = [...randomBytes(8)].map((byte) => letters.charAt(byte % letters.length)).join('')
    if (!taken.has(id)) return id
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100
}
