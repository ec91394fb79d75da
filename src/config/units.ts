const durations = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const sizes = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const

/** A duration setting in milliseconds: a number counts seconds, text carries its unit. The schema has checked its form. */
export function millisecondsOf(duration: number | string): number {
  return typeof duration === 'number' ? duration * 1000 : scaled(duration, durations)
}

/** A size setting in bytes: a number counts bytes, text carries its unit. The schema has checked its form. */
export function bytesOf(size: number | string): number {
  return typeof size === 'number' ? size : Math.floor(scaled(size, sizes))
}

function scaled(text: string, units: Readonly<Record<string, number>>): number {
  const [, amount = '', unit = ''] = /^([0-9.]+)([A-Za-z]+)$/.exec(text) ?? []
  return Number(amount) * (units[unit] ?? Number.NaN)
}
