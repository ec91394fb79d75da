/** One signal that fires when `signal` does or `timeoutMs` have passed, whichever comes first. */
export function deadline(timeoutMs: number, signal?: AbortSignal): AbortSignal {
  const limit = AbortSignal.timeout(Math.ceil(timeoutMs))
  return signal === undefined ? limit : AbortSignal.any([signal, limit])
}

/** Waits `ms`, or less when `signal` fires. Never throws: the caller looks at the signal. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
  })
}
