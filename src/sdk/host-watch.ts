/** What tells that nobody is there any more. */
export interface HostWatchOptions {
  /** Called once when the host is gone. */
  readonly leave: (reason: string) => void
  /** Default: 1 s. */
  readonly everyMs?: number
  /** How long there may be no connection after there was one. Default: 4 s. */
  readonly lonelyMs?: number
}

/** Notices when the host is gone, so that no plugin is left behind. */
export interface HostWatch {
  /** Tells how many connections there are now. */
  connections(count: number): void
  stop(): void
}

/**
 * Watches the host in two ways: a process whose parent died gets another one, and a host that started us through a
 * program in between takes its connection with it.
 */
export function watchHost({ leave, everyMs = 1_000, lonelyMs = 4_000 }: HostWatchOptions): HostWatch {
  const parent = process.ppid
  let lonely: NodeJS.Timeout | undefined
  const timer = setInterval(() => {
    if (process.ppid !== parent) leave('The host is gone')
  }, everyMs)
  timer.unref()
  return {
    connections(count) {
      clearTimeout(lonely)
      if (count === 0) lonely = setTimeout(() => leave('The host closed its connection'), lonelyMs)
    },
    stop() {
      clearInterval(timer)
      clearTimeout(lonely)
    },
  }
}
