import type { Meter } from '../base/meter.ts'
import type { SlotName } from '../slots/index.ts'
import type { EndedCall } from './call-gate.ts'
import type { InstanceStateName } from './instance-state.ts'

const states: readonly InstanceStateName[] = [
  ...(['stopped', 'verifying', 'starting', 'ready', 'waiting', 'failed', 'stopping'] as const),
]

/** Counts what happens to one instance, under the names of `telemetry/metrics`. */
export function createInstanceMeters(meter: Meter, instance: string, slot: SlotName) {
  return {
    state(now: InstanceStateName): void {
      for (const state of states) meter.set('sftpgo_plugin_state', state === now ? 1 : 0, { instance, state })
    },
    /** A start ended: `ready`, or the code of what went wrong. */
    start(outcome: string): void {
      meter.add('sftpgo_plugin_starts_total', 1, { instance, outcome })
    },
    /** A call that never reached the plugin. */
    turnedAway(outcome: string): void {
      meter.add('sftpgo_plugin_calls_total', 1, { slot, outcome })
    },
    call({ outcome, tookMs }: EndedCall): void {
      meter.add('sftpgo_plugin_calls_total', 1, { slot, outcome })
      meter.observe('sftpgo_plugin_call_seconds', tookMs / 1000, { slot })
    },
  }
}
