import type { Clock } from '../base/clock.ts'
import { PluginError } from '../base/errors.ts'
import type { Life } from './life.ts'

/** How long each step of a stop may take. */
export interface StopPace {
  /** For the answer to the shutdown call. */
  readonly shutdownMs: number
  /** For leaving by itself after that. */
  readonly graceMs: number
  /** For leaving after SIGTERM. */
  readonly termMs: number
}

const usualPace: StopPace = { shutdownMs: 1000, graceMs: 2000, termMs: 1000 }

/** How a process was made to leave. */
export type LeftBy = 'itself' | 'shutdown' | 'SIGTERM' | 'SIGKILL'

/**
 * Ends a life: asks it to leave, waits, and becomes firmer step by step, at last with its whole process group.
 *
 * `hung`: nothing is asked of it any more, it is killed at once.
 */
export async function endLife(
  life: Life,
  { clock, pace = usualPace, hung = false }: { clock: Clock; pace?: StopPace; hung?: boolean },
): Promise<LeftBy> {
  const { process, channel } = life
  const gone = async (ms: number): Promise<boolean> => {
    let cancel = (): void => {}
    const patience = new Promise<false>((resolve) => {
      cancel = clock.after(ms, () => resolve(false))
    })
    const left = await Promise.race([process.exited.then(() => true as const), patience])
    cancel()
    return left
  }
  const steps = async (): Promise<LeftBy> => {
    if (process.exit !== undefined) return 'itself'
    if (!hung) {
      const told = await askToLeave(channel, pace.shutdownMs)
      if (told !== 'no' && (await gone(pace.graceMs))) return 'shutdown'
      process.signal('SIGTERM')
      if (await gone(pace.termMs)) return 'SIGTERM'
    }
    process.killGroup()
    await process.exited
    return 'SIGKILL'
  }
  const leftBy = await steps()
  await channel.close(new PluginError('exited', 'The plugin has ended'))
  await life.close()
  return leftBy
}

/** Whether the plugin took the request to leave; `silent` when it did not react. */
async function askToLeave(channel: Life['channel'], timeoutMs: number): Promise<'yes' | 'no' | 'silent'> {
  if (!channel.isOpen) return 'no'
  try {
    return (await channel.shutdown({ timeoutMs })) ? 'yes' : 'no'
  } catch {
    return 'silent'
  }
}
