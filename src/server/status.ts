import { statfsSync } from 'node:fs'
import { messageOf } from '../base/errors.ts'
import { type SlotName, slots } from '../slots/index.ts'
import type { Parts } from './parts.ts'
import type { ServerStatus } from './running-server.ts'
import { programVersion } from './version.ts'

type PartState = ServerStatus['parts'][string]

/** How a server is right now. */
export function statusOf(
  parts: Parts,
  reloads: { readonly last: ServerStatus['lastReload']; readonly needRestart: readonly string[] },
): ServerStatus {
  const { door, log, current, startedAt } = parts
  const { connections, sessions } = door.counts()
  return {
    pid: process.pid,
    version: programVersion(),
    startedAt,
    configuration: current.config.file,
    listening: door.ssh.addresses,
    connections,
    sessions,
    logLevel: log.level,
    droppedLogLines: log.droppedLines,
    lastReload: reloads.last,
    needRestart: reloads.needRestart,
    parts: partStates(parts),
  }
}

function partStates(parts: Parts): Record<string, PartState> {
  const names = Object.keys(slots) as SlotName[] // the table's own keys
  return {
    ...Object.fromEntries(names.map((name) => [`slot ${name}`, slotState(parts, name)])),
    database: parts.pulse.state(),
    disk: diskState(parts.current.config.stateFolder),
    events: eventState(parts),
    ...workerState(parts),
  }
}

/** Only where there are any. */
function workerState({ door }: Parts): Record<string, PartState> {
  const workers = door.workers?.()
  return workers === undefined ? {} : { workers }
}

function slotState({ host }: Parts, slot: SlotName): PartState {
  const plugins = host.status().filter(({ type, enabled }) => type === slot && enabled)
  if (plugins.length === 0) return { ready: true, detail: 'empty' }
  return {
    ready: plugins.every(({ state, required }) => state === 'ready' || !required),
    detail: plugins
      .map(
        ({ name, state, reason }) => `${name} ${state}${reason === undefined ? '' : ` (${reason.message})`}`,
      )
      .join(', '),
  }
}

function eventState({ events }: Parts): PartState {
  const { full, usedBytes, unwritten, notifiers } = events.status()
  const used = `${(usedBytes / 1024 / 1024).toFixed(1)} MiB kept`
  if (full) return { ready: false, detail: `the disk budget is used up: ${used}` }
  if (unwritten > 0)
    return { ready: false, detail: `${unwritten} events cannot be written down; tried again` }
  if (notifiers.length === 0) return { ready: true, detail: 'nobody listens' }
  const sum = (key: 'waiting' | 'parked'): number =>
    notifiers.reduce((total, notifier) => total + notifier[key], 0)
  const failing = notifiers.filter((notifier) => notifier.failing > 0).map(({ name }) => name)
  const owed = `${sum('waiting')} waiting, ${sum('parked')} parked, ${used}`
  return {
    ready: true,
    detail: failing.length === 0 ? owed : `${owed}; failing: ${failing.join(', ')}`,
  }
}

/** Below this nothing can be relied on any more. */
const leastFreeBytes = 16 * 1024 * 1024

function diskState(folder: string): PartState {
  try {
    const { bavail, bsize } = statfsSync(folder)
    const free = bavail * bsize
    return { ready: free > leastFreeBytes, detail: `${(free / 2 ** 30).toFixed(1)} GiB free` }
  } catch (error) {
    return { ready: false, detail: messageOf(error) }
  }
}
