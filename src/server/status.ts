import { statfsSync } from 'node:fs'
import { messageOf } from '../base/errors.ts'
import { type SlotName, slots } from '../slots/index.ts'
import type { Parts } from './parts.ts'
import type { PartState, ServerStatus } from './running-server.ts'
import { programVersion } from './version.ts'

/** How a server is right now. */
export function statusOf(
  parts: Parts,
  reloads: { readonly last: ServerStatus['lastReload']; readonly needRestart: readonly string[] },
): ServerStatus {
  const { door, log, current, startedAt } = parts
  const { connections, sessions } = door.counts()
  const states = partStates(parts)
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
    ready: Object.values(states).every(({ ready, required }) => ready || !required),
    parts: states,
  }
}

function partStates(parts: Parts): Record<string, PartState> {
  const names = Object.keys(slots) as SlotName[] // the table's own keys
  const required = {
    database: parts.pulse.state(),
    disk: diskState(parts.current.config.stateFolder),
    events: eventState(parts),
    ...workerState(parts),
  }
  return {
    ...Object.fromEntries(names.map((name) => [`slot ${name}`, slotState(parts, name)])),
    ...Object.fromEntries(
      Object.entries(required).map(([name, { ready, detail }]) => [name, { ready, required: true, detail }]),
    ),
  }
}

/** A part that no server can be without. */
type Needed = Omit<PartState, 'required'>

/** Only where there are any. */
function workerState({ door }: Parts): Record<string, Needed> {
  const workers = door.workers?.()
  return workers === undefined ? {} : { workers }
}

/** Ready when each of its plugins is; what is down is required when a plugin is that the server would not start without. */
function slotState({ host }: Parts, slot: SlotName): PartState {
  const plugins = host.status().filter(({ type, enabled }) => type === slot && enabled)
  if (plugins.length === 0) return { ready: true, required: false, detail: 'empty' }
  const down = plugins.filter(({ state }) => state !== 'ready')
  return {
    ready: down.length === 0,
    required: (down.length === 0 ? plugins : down).some(({ required }) => required),
    detail: plugins
      .map(
        ({ name, state, reason }) => `${name} ${state}${reason === undefined ? '' : ` (${reason.message})`}`,
      )
      .join(', '),
  }
}

function eventState({ events }: Parts): Needed {
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

function diskState(folder: string): Needed {
  try {
    const { bavail, bsize } = statfsSync(folder)
    const free = bavail * bsize
    return { ready: free > leastFreeBytes, detail: `${(free / 2 ** 30).toFixed(1)} GiB free` }
  } catch (error) {
    return { ready: false, detail: messageOf(error) }
  }
}
