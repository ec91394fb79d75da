/** Decides, from how long calls take, whether they may run on this thread. */
export interface CallPace {
  /** True while calls are fast enough to run at once. */
  readonly inline: boolean
  /** Takes note of one call. `work` is what it may take beyond waiting, in milliseconds; default 0. */
  took(milliseconds: number, work?: number): void
  /** Of the latest calls, in microseconds; 0 before the first. */
  median(): number
}

/** What a pace starts from. */
export interface CallPaceOptions {
  /** Milliseconds that only grow. */
  readonly monotonic: () => number
  /** Told when calls move: to the pool, or back. */
  readonly onChange?: (inline: boolean, medianMicroseconds: number) => void
}

/** A call of microseconds is inline; one that waits for a disk or a network is not. */
const slowMs = 0.4
/** A call that others notice. On a busy machine another process's turn is one too, through no fault of the disk. */
const stallMs = 30
/** So much standing still within so long is more than a busy machine causes. */
const mostStalledMs = 1000
const stallWindowMs = 10_000
/** After turning slow, a rest in the pool; doubled each time the disk turns slow soon after it. */
const shortestRestMs = 5_000
const longestRestMs = 300_000
const relapseMs = 60_000
const remembered = 32

/**
 * Creates a pace that starts inline.
 *
 * It judges by the median, because on a shared machine any single call may be long through no fault of the
 * disk; and by what all long calls of some seconds add up to.
 */
export function createCallPace({ monotonic, onChange }: CallPaceOptions): CallPace {
  const latest = new Float64Array(remembered)
  let calls = 0
  let inline = true
  let restUntil = 0
  let restMs = shortestRestMs
  let inlineSince = -relapseMs
  let stalled = 0
  let firstStall = 0

  return {
    get inline() {
      return inline
    },
    took(milliseconds, work = 0) {
      latest[calls % remembered] = milliseconds - work
      calls += 1
      if (inline) judgeInline(milliseconds - work)
      else if (calls % 8 === 0) judgePool()
    },
    median: () => Math.round(quantile(0.5) * 1000),
  }

  function judgeInline(waited: number): void {
    if (waited <= slowMs) return
    if (isStalling(waited) || (calls >= remembered && quantile(0.5) > slowMs)) leave()
  }

  function isStalling(waited: number): boolean {
    if (waited < stallMs) return false
    const now = monotonic()
    if (now - firstStall > stallWindowMs) stalled = 0
    if (stalled === 0) firstStall = now
    stalled += waited
    return stalled >= mostStalledMs
  }

  function leave(): void {
    const now = monotonic()
    restMs = now - inlineSince < relapseMs ? Math.min(restMs * 2, longestRestMs) : shortestRestMs
    restUntil = now + restMs
    stalled = 0
    move(false)
  }

  /** In the pool a call waits for its turn too, so the quickest quarter tells more of the disk than the median. */
  function judgePool(): void {
    if (monotonic() < restUntil || quantile(0.25) > slowMs) return
    inlineSince = monotonic()
    move(true)
  }

  function move(toInline: boolean): void {
    const median = Math.round(quantile(0.5) * 1000)
    inline = toInline
    calls = 0
    onChange?.(toInline, median)
  }

  function quantile(part: number): number {
    const known = latest.slice(0, Math.min(calls, remembered)).sort()
    return known[Math.floor(known.length * part)] ?? 0
  }
}
