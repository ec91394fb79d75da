/**
 * A value that is here already or will be.
 *
 * Metadata calls on a local disk take microseconds; a promise and a turn of the event loop would cost more
 * than the call. So the file wing returns plain values where they are at hand, and callers use `whenReady`.
 */
export type Soon<T> = T | Promise<T>

/** Runs `next` now when the value is here, later when it is a promise. */
export function whenReady<T, R>(value: Soon<T>, next: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** Calls `action` and turns what it throws into `recover`, now or later. */
export function recovering<T>(action: () => Soon<T>, recover: (error: unknown) => Soon<T>): Soon<T> {
  try {
    const value = action()
    return value instanceof Promise ? value.catch(recover) : value
  } catch (error) {
    return recover(error)
  }
}

/** Runs `step` until it says false: in this turn for as long as its answers are here. */
export function repeating(step: () => Soon<boolean>): Soon<void> {
  for (;;) {
    const more = step()
    if (more instanceof Promise) return repeatingLater(step, more)
    if (!more) return undefined
  }
}

async function repeatingLater(step: () => Soon<boolean>, first: Promise<boolean>): Promise<void> {
  for (let more = await first; more; more = await step());
}
