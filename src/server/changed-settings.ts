import type { Settings } from '../gen/settings.ts'

/** The sections and keys in which two configurations differ: `sftpd.bindings`, `log.level`, `plugins`. */
export function changedSettings(before: Settings, after: Settings): string[] {
  const keys: (keyof Settings)[] = [...new Set([...keysOf(before), ...keysOf(after)])]
  return keys.flatMap((section) => {
    const [old, next] = [before[section], after[section]]
    if (same(old, next)) return []
    if (!isSection(old) || !isSection(next)) return [section]
    const inner = new Set([...Object.keys(old), ...Object.keys(next)])
    return [...inner].filter((key) => !same(old[key], next[key])).map((key) => `${section}.${key}`)
  })
}

function keysOf(settings: Settings): (keyof Settings)[] {
  return Object.keys(settings) as (keyof Settings)[] // the schema allows no other keys
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
