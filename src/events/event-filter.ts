import { displayName } from '../base/virtual-path.ts'
import type { ServerEvent } from './event.ts'

/** Which events a command means. What is left out does not matter; all that is given must hold. */
export interface EventFilter {
  readonly ids?: readonly string[]
  readonly username?: string
  /** A path as people write it; with a `*` at its end, everything that begins so. */
  readonly path?: string
  readonly action?: string
  /** Milliseconds since 1970, both ends included. */
  readonly sinceMs?: number
  readonly untilMs?: number
}

/** Whether an event is one of those meant. */
export function matches(
  filter: EventFilter,
  stored: { readonly id: string; readonly createdMs: number; readonly action: string },
  event: ServerEvent,
): boolean {
  const { ids, username, path, action, sinceMs = -Infinity, untilMs = Infinity } = filter
  if (ids !== undefined && !ids.includes(stored.id)) return false
  if (action !== undefined && action !== stored.action) return false
  if (stored.createdMs < sinceMs || stored.createdMs > untilMs) return false
  if (username !== undefined && event.username !== username) return false
  return path === undefined || (event.kind === 'file' && isAt(path, event.path, event.targetPath))
}

function isAt(pattern: string, ...paths: readonly (string | undefined)[]): boolean {
  return paths.some((path) => {
    if (path === undefined) return false
    const shown = displayName(path)
    return pattern.endsWith('*') ? shown.startsWith(pattern.slice(0, -1)) : shown === pattern
  })
}
