import {
  displayName,
  nameFromText,
  nameOf,
  parentOf,
  virtualPath,
  type VirtualPath,
} from '../base/virtual-path.ts'
import { compilePattern, type Pattern } from './patterns.ts'
import type { FilePattern } from './user.ts'

/** What a user's file patterns say about a name. */
export type NameVerdict =
  | 'allowed'
  /** Listed, but nothing can be done with it. */
  | 'refused'
  /** As if it were not there. */
  | 'hidden'

/** Which names a user may see and use. */
export interface NameRules {
  verdictOn(path: VirtualPath): NameVerdict
  /** Whether there is any rule at all. */
  readonly empty: boolean
}

/**
 * Reads a user's file patterns. The rule nearest above a name decides; denied before allowed, without regard to
 * case or to how accents are composed. A rule that hides also hides directories, with everything in them.
 */
export function createNameRules(patterns: readonly FilePattern[] = []): NameRules {
  const rules = new Map(patterns.map((pattern) => [virtualPath(nameFromText(pattern.path)), ruleOf(pattern)]))
  return {
    empty: rules.size === 0,
    verdictOn(path) {
      if (rules.size === 0 || path === '/') return 'allowed'
      for (let level = parentOf(path); level !== '/'; level = parentOf(level)) {
        const above = ruleFor(level)
        if (above?.hides === true && !above.allows(level)) return 'hidden'
      }
      const rule = ruleFor(path)
      if (rule === undefined || rule.allows(path)) return 'allowed'
      return rule.hides ? 'hidden' : 'refused'
    },
  }

  function ruleFor(path: VirtualPath): Rule | undefined {
    for (let level = parentOf(path); ; level = parentOf(level)) {
      const rule = rules.get(level)
      if (rule !== undefined || level === '/') return rule
    }
  }
}

interface Rule {
  readonly hides: boolean
  allows(path: VirtualPath): boolean
}

/** A malformed denied pattern denies everything, a malformed allowed one allows nothing: when in doubt, refuse. */
function ruleOf({ denied_patterns, allowed_patterns, deny_policy }: FilePattern): Rule {
  const denied = (denied_patterns ?? []).map((text) => compiled(text) ?? (() => true))
  const allowed = (allowed_patterns ?? []).map((text) => compiled(text) ?? (() => false))
  return {
    hides: deny_policy === 1,
    allows(path) {
      const name = folded(displayName(nameOf(path)))
      if (denied.some((matches) => matches(name))) return false
      return allowed.length === 0 || allowed.some((matches) => matches(name))
    },
  }
}

function compiled(text: string): Pattern | undefined {
  return compilePattern(folded(text))
}

function folded(text: string): string {
  return text.normalize('NFC').toLowerCase()
}
