/** What a process does when it is told something. */
export interface SignalActions {
  /** SIGTERM or SIGINT: stop in order. Called once. */
  stop(signal: string): void
  /** A second SIGTERM or SIGINT: leave at once. */
  leave(signal: string): void
  /** SIGHUP: read the configuration again. */
  reload(): void
}

/** npm and terminals deliver one Ctrl-C twice; within this time it counts once. */
const duplicateMs = 500

/** Listens for signals for the rest of the process's life: a second one must be heard while the first is obeyed. */
export function watchSignals(actions: SignalActions): void {
  let stoppedAt: number | undefined
  const stop = (signal: string): void => {
    const now = performance.now()
    if (stoppedAt === undefined) {
      stoppedAt = now
      actions.stop(signal)
    } else if (now - stoppedAt > duplicateMs) {
      actions.leave(signal)
    }
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('SIGHUP', () => actions.reload())
}
