/** Runs each event's work once, however often the event is told. */
export interface OncePerEvent {
  /** Runs `work` unless it was done for this id. Told again meanwhile: waits for the same work. A failure forgets the id. */
  run(eventId: string, work: () => Promise<void>): Promise<void>
}

/** How much is remembered. */
export interface OncePerEventOptions {
  /** Default: 10,000 ids; beyond it the oldest is forgotten. */
  readonly remember?: number
}

/**
 * Creates the memory of a notifier. Events are told at least once: a lost answer or a restart tells one again. This
 * holds within the life of a process; across restarts the place where the work is done has to know the id.
 */
export function createOncePerEvent({ remember = 10_000 }: OncePerEventOptions = {}): OncePerEvent {
  const known = new Map<string, Promise<void>>()
  return {
    run(eventId, work) {
      const before = known.get(eventId)
      if (before !== undefined) return before
      const running = work()
      known.set(eventId, running)
      running.catch(() => known.delete(eventId))
      for (const oldest of known.keys()) {
        if (known.size <= remember) break
        known.delete(oldest)
      }
      return running
    },
  }
}
