import type { Principal } from '../accounts/principal.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { SftpSession } from '../sftp/session.ts'
import type { ChannelStream } from './channel-stream.ts'
import type { OpenSession } from './connection-context.ts'

/** Who the sessions belong to, and who serves them. */
export interface GuestSessionsOptions {
  readonly principal: Principal
  readonly clientVersion: string
  readonly serve: OpenSession
  readonly log: Logger
}

interface ServedSession {
  readonly stream: ChannelStream
  session: SftpSession | undefined
  progress: number
}

/** The SFTP sessions of one connection. */
export class GuestSessions {
  readonly #options: GuestSessionsOptions
  readonly #sessions = new Set<ServedSession>()

  constructor(options: GuestSessionsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#sessions.size
  }

  /** The stream of the only session there is, or undefined. */
  get single(): ChannelStream | undefined {
    const [first, second] = this.#sessions
    return second === undefined ? first?.stream : undefined
  }

  /** Whether any of them has something to do or to say, or a transfer open. */
  get busy(): boolean {
    return [...this.#sessions].some(
      ({ session, stream }) =>
        session === undefined || session.outstanding > 0 || session.transfers > 0 || stream.queuedBytes > 0,
    )
  }

  /** Whether one of them moved since the last call, or works for its client. */
  moved(): boolean {
    let moved = false
    for (const served of this.#sessions) {
      const { progress, queuedBytes } = served.stream
      const working = (served.session?.outstanding ?? 0) > 0 && queuedBytes === 0
      if (progress !== served.progress || working) moved = true
      served.progress = progress
    }
    return moved
  }

  /** Opens a session on a stream. */
  open(stream: ChannelStream): void {
    const served: ServedSession = { stream, session: undefined, progress: 0 }
    this.#sessions.add(served)
    const over = (): void => void this.#sessions.delete(served)
    const began = (session: SftpSession): void => {
      served.session = session
      session.ended.then(over, over)
    }
    const failed = (error: unknown): void => {
      over()
      this.#options.log.error('session could not be opened', { error: messageOf(error) })
      stream.end(1)
    }
    const { principal, clientVersion, serve } = this.#options
    try {
      const opening = serve(stream, { principal, clientVersion })
      if (opening instanceof Promise) opening.then(began, failed)
      else began(opening)
    } catch (error) {
      failed(error)
    }
  }

  /** Forgets them; their streams tell them. */
  clear(): void {
    this.#sessions.clear()
  }
}
