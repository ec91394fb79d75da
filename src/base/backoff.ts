/** What spreads retries of many apart. */
export interface BackoffOptions {
  readonly firstMs: number
  readonly mostMs: number
  /** A number from 0 to 1; default `Math.random`. Tests hand in a constant. */
  readonly random?: () => number
}

/** Doubles with each failure up to a limit, then takes off up to a quarter at random. */
export function backoffMs(failures: number, options: BackoffOptions): number {
  const whole = Math.min(options.firstMs * 2 ** Math.max(0, failures - 1), options.mostMs)
  return whole * (1 - 0.25 * (options.random ?? Math.random)())
}
