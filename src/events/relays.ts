import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { NotifierEntry } from './notifier-entry.ts'
import { createNotifierTarget } from './notifier-target.ts'
import type { WrittenEvent } from './outbox.ts'
import { Relay, type RelayStatus } from './relay.ts'
import type { RelayStore } from './telling.ts'

/** What relays need. */
export interface RelaysOptions {
  readonly store: RelayStore
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** One relay for each notifier, as the configuration has them now. */
export interface Relays {
  /** Takes another list: who left is told no more, who is new or changed begins with what waits. */
  take(entries: readonly NotifierEntry[], graceMs: number): Promise<void>
  arrived(event: WrittenEvent): void
  /** Somebody else changed what is owed. */
  rescan(): void
  status(name: string): RelayStatus | undefined
  close(graceMs: number): Promise<void>
}

/** Creates no relay yet. */
export function createRelays(options: RelaysOptions): Relays {
  const { clock } = options
  const relays = new Map<string, { readonly entry: NotifierEntry; readonly relay: Relay; off(): void }>()
  return {
    async take(entries, graceMs) {
      const gone = [...relays].filter(([, { entry }]) => !entries.includes(entry)).map(([name]) => name)
      // One of a name at a time: two would tell the events of a user side by side.
      await Promise.all(gone.map((name) => end(name, graceMs)))
      for (const entry of entries) if (!relays.has(entry.name)) begin(entry)
    },
    arrived({ row, notifiers }) {
      for (const name of notifiers) relays.get(name)?.relay.arrived(row)
    },
    rescan() {
      for (const { relay } of relays.values()) relay.rescan()
    },
    status: (name) => relays.get(name)?.relay.status,
    async close(graceMs) {
      await Promise.all([...relays.keys()].map((name) => end(name, graceMs)))
    },
  }

  function begin(entry: NotifierEntry): void {
    const relay = new Relay({ ...options, target: createNotifierTarget(entry, clock) })
    const off = entry.onReady?.(() => relay.ready()) ?? (() => {})
    relays.set(entry.name, { entry, relay, off })
    relay.start()
  }

  async function end(name: string, graceMs: number): Promise<void> {
    const known = relays.get(name)
    if (known === undefined) return
    known.off()
    const grace = new AbortController()
    const cancel = clock.after(graceMs, () => grace.abort())
    await known.relay.close(grace.signal)
    cancel()
    relays.delete(name)
  }
}
