import type { Logger } from '../base/log.ts'
import { displayName } from '../base/virtual-path.ts'
import type { OpenIntent, Outbox } from './outbox.ts'
import { reconcile, type Finding } from './reconcile.ts'

/** What a start found of earlier lives. */
export interface Recovery {
  /** Events that are told now. */
  readonly committed: number
  /** Intents whose effect did not take place. */
  readonly discarded: number
  /** Intents that the disk says nothing about. */
  readonly unknown: number
  /** Real paths, one character per byte, of bytes that belong to uploads which did not end. */
  readonly partPaths: readonly string[]
}

/** Holds every intent of earlier lives against the disk and ends it. Before anything new is written down. */
export async function settleIntents(outbox: Outbox, log: Logger): Promise<Recovery> {
  const partPaths: string[] = []
  const count = { happened: 0, cut: 0, nothing: 0, unknown: 0 }
  for (;;) {
    const intents = outbox.openIntents(500)
    if (intents.length === 0) break
    const findings = intents.map((intent) => ({ intent, finding: reconcile(intent) }))
    // Asked for in order, so written in order.
    await Promise.all(findings.map(({ intent, finding }) => settle(outbox, log, intent, finding)))
    for (const { finding } of findings) {
      count[finding.found] += 1
      if (finding.found === 'cut' && finding.partPath !== undefined) partPaths.push(finding.partPath)
    }
  }
  const { happened, cut, nothing, unknown } = count
  return { committed: happened + cut, discarded: nothing, unknown, partPaths }
}

async function settle(outbox: Outbox, log: Logger, intent: OpenIntent, finding: Finding): Promise<void> {
  const { id, event, createdMs } = intent
  const { action, username } = event
  log.warn('intent of an earlier life settled', {
    ...{ event_id: id, found: finding.found, action, username },
    path: displayName(event.path),
  })
  await ('event' in finding ? outbox.add(id, finding.event, createdMs) : outbox.forgetIntent(id))
}
