/** Labels of one sample. Values come from a closed set: never a user name, a path or an address. */
export type Labels = Readonly<Record<string, string>>

/** Where the program counts. Metric names are those of `telemetry/metrics`. */
export interface Meter {
  /** Adds to a counter. */
  add(name: string, amount?: number, labels?: Labels): void
  /** Records one duration, in seconds. */
  observe(name: string, seconds: number, labels?: Labels): void
  /** Sets a gauge to what it is now. */
  set(name: string, value: number, labels?: Labels): void
}

/** Counts nothing. */
export const silentMeter: Meter = { add() {}, observe() {}, set() {} }
