import type { Clock } from '../base/clock.ts'
import type { UserStore } from './user-store.ts'

/** When users last logged in, on its way into the store. */
export interface LastLogins {
  note(username: string, at: number): void
  /** Hands over what is not yet. */
  close(): void
}

/** Who logs in again and again within this time is written down once: a write costs a twentieth of a login. */
const gatherMs = 250

/** Creates the notes over the store. */
export function createLastLogins(store: Pick<UserStore, 'noteLogin'>, clock: Clock): LastLogins {
  const noted = new Map<string, number>()
  let cancel: (() => void) | undefined
  const handOver = (): void => {
    cancel = undefined
    for (const [username, at] of noted) store.noteLogin(username, at)
    noted.clear()
  }
  return {
    note(username, at) {
      noted.set(username, at)
      cancel ??= clock.after(gatherMs, handOver)
    },
    close() {
      cancel?.()
      handOver()
    },
  }
}
