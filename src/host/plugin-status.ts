import { errorCatalogue } from '../base/error-catalogue.ts'
import type { PluginErrorCode } from '../base/errors.ts'
import type { SlotName } from '../slots/index.ts'
import type { Instance } from './instance.ts'
import type { InstanceStateName } from './instance-state.ts'
import type { InstanceFacts } from './instance.ts'

/** How one configured plugin stands, as `plugin status` shows it and the control socket sends it. */
export interface PluginStatus extends InstanceFacts {
  readonly name: string
  readonly type: SlotName
  readonly enabled: boolean
  readonly required: boolean
  readonly state: InstanceStateName
  /** For how long. */
  readonly forMs: number
  readonly pid?: number
  /** When it is tried again. */
  readonly againInMs?: number
  readonly reason?: { readonly code: PluginErrorCode; readonly message: string; readonly remedy: string }
}

/** The status of an instance at a time. */
export function statusOf(instance: Instance, now: number): PluginStatus {
  const { entry, state, facts, reason } = instance
  return {
    name: entry.name,
    type: entry.type,
    enabled: entry.enabled !== false,
    required: entry.required !== false,
    state: state.at,
    forMs: Math.max(0, now - state.since),
    ...('pid' in state && state.pid !== undefined && { pid: state.pid }),
    ...(state.at === 'waiting' && { againInMs: Math.max(0, state.until - now) }),
    ...(reason !== undefined && {
      reason: { code: reason.code, message: reason.message, remedy: remedyOf(reason.code, entry.name) },
    }),
    ...facts,
  }
}

/** What to do about a code, with the plugin's own name in it. */
export function remedyOf(code: PluginErrorCode, name: string): string {
  const row = errorCatalogue.find((candidate) => candidate.kind === 'PluginError' && candidate.code === code)
  return (row?.remedy ?? '').replaceAll(/\bNAME\b/g, name)
}
