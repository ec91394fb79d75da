/** Spreads costly work of strangers over turns of the event loop, so that people who are logged in do not wait for it. */
export interface TurnBudget {
  /** Runs `work` now while this turn's budget lasts and nobody waits, later in its turn otherwise. */
  run(work: () => void): void
  readonly waiting: number
}

/** Creates a budget of `milliseconds` per turn. Work is never dropped: who queues it bounds how much there is. */
export function createTurnBudget(
  milliseconds: number,
  monotonic: () => number = () => performance.now(),
): TurnBudget {
  let line: (() => void)[] = []
  let spent = 0
  let planned = false

  const plan = (): void => {
    if (planned) return
    planned = true
    setImmediate(nextTurn)
  }
  const timed = (work: () => void): void => {
    const before = monotonic()
    work()
    spent += monotonic() - before
  }
  function nextTurn(): void {
    planned = false
    spent = 0
    const waiting = line
    line = []
    for (const [index, work] of waiting.entries()) {
      if (spent >= milliseconds) {
        line = [...waiting.slice(index), ...line]
        break
      }
      timed(work)
    }
    if (line.length > 0) plan()
  }

  return {
    run(work) {
      plan()
      if (line.length === 0 && spent < milliseconds) timed(work)
      else line.push(work)
    },
    get waiting() {
      return line.length
    },
  }
}
