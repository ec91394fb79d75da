import { whenReady, type Soon } from '../base/soon.ts'

/** Takes every step although one before it failed, then throws the last failure. */
export function inOrder(steps: readonly (() => Soon<void>)[]): Soon<void> {
  return goOn(steps, 0, undefined)
}

function goOn(steps: readonly (() => Soon<void>)[], index: number, failure: Failure | undefined): Soon<void> {
  const step = steps[index]
  if (step === undefined) {
    if (failure !== undefined) throw failure.error
    return
  }
  return whenReady(attempt(step), (latest) => goOn(steps, index + 1, latest ?? failure))
}

interface Failure {
  readonly error: unknown
}

function attempt(step: () => Soon<void>): Soon<Failure | undefined> {
  try {
    const done = step()
    if (!(done instanceof Promise)) return undefined
    return done.then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
  } catch (error) {
    return { error }
  }
}

/** Runs `action` and then `close`, whether it succeeded or not. */
export function closing<T>(close: () => void, action: () => Soon<T>): Soon<T> {
  let result: Soon<T>
  try {
    result = action()
  } catch (error) {
    close()
    throw error
  }
  if (result instanceof Promise) return result.finally(close)
  close()
  return result
}
