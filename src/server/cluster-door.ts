import { randomBytes } from 'node:crypto'
import type { LogLevel } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { LinkToWorker, StartedWorker, WorkerFigures } from '../cluster/contract.ts'
import { type Crew, type CrewMember, openCrew } from '../cluster/crew.ts'
import { createHeadCount } from '../cluster/head-count.ts'
import { fileActions } from '../cluster/sent-events.ts'
import { createUsageExchange } from '../cluster/usage-exchange.ts'
import { type PrimaryParts, type WorkerDesk, createWorkerDesk } from '../cluster/worker-desk.ts'
import type { Config } from '../config/load-config.ts'
import type { FileAction } from '../events/event.ts'
import type { ProgramLogger } from '../telemetry/logger.ts'
import { sentConfigOf } from './sent-config.ts'
import type { SshDoor } from './ssh-door.ts'

/** What stands behind the doors of the workers: everything that is one for all of them. */
export interface ClusterDoorOptions extends Omit<PrimaryParts, 'heads' | 'exchange'> {
  readonly config: Config
  readonly count: number
  readonly loopbackOnly: boolean
  readonly log: ProgramLogger
}

/** A worker that has its door open. */
interface Colleague {
  readonly desk: WorkerDesk
  figures: WorkerFigures
}

/** For a worker to make host keys, test its ciphers and listen. */
const startMs = 120_000
/** For a worker to put its files in order after everybody is gone. */
const tidyMs = 15_000
/** For a word that has to come at once. */
const shortMs = 5_000

/** Opens the door in several processes. They speak SSH and move files; this one decides and counts. */
export async function openClusterDoor(options: ClusterDoorOptions): Promise<SshDoor> {
  const { count, events, ledger, loopbackOnly, log, meter } = options
  let config = options.config
  let listening: StartedWorker | undefined
  const colleagues = new Map<number, Colleague>()
  // Every life that may still hold files, also those that have not started yet.
  const lives = new Map<number, string>()
  // The first worker serves people while the others begin.
  const links = new Map<number, LinkToWorker>()
  const heads = createHeadCount(
    () => ({
      total: config.settings.common.max_total_connections,
      perAddress: config.settings.common.max_per_host_connections,
    }),
    (worker, id) => {
      meter.add('sftpgo_connections_evicted_total')
      links.get(worker)?.tell('disconnect', { ids: [id], text: 'Evicted for a newer connection' })
    },
  )
  const exchange = createUsageExchange(ledger, (worker, news) => links.get(worker)?.tell('usage', news))
  const parts: PrimaryParts = { ...options, heads, exchange }
  const wanted = (): readonly FileAction[] => fileActions.filter((action) => events.wants(action))
  const tellLives = (): void => {
    for (const link of links.values()) link.tell('lives', [...lives.values()])
  }

  const open = await openCrew({
    count,
    program: workerProgram(),
    argumentsFor: (number) => [String(number), config.settings.log.format],
    newLife: () => randomBytes(4).toString('hex'),
    hearersFor(number, link) {
      const desk = createWorkerDesk(
        number,
        link,
        (news) => {
          for (const [other, to] of links) if (other !== number) to.tell('board', news)
        },
        parts,
      )
      colleagues.set(number, { desk, figures: { residentBytes: 0, cpuSeconds: 0, droppedLogLines: 0 } })
      return desk.hearers
    },
    async start({ number, life, pid, link }) {
      lives.set(number, life)
      const start = { number, life, config: sentConfigOf(config), loopbackOnly, wanted: wanted() }
      const started = await link.ask('start', { ...start, logLevel: log.level }, startMs)
      listening ??= started
      links.set(number, link)
      tellLives()
      log.info('worker started', { worker: number, pid })
    },
    async gone({ number }) {
      lives.delete(number)
      links.delete(number)
      const colleague = colleagues.get(number)
      colleagues.delete(number)
      await colleague?.desk.close()
      tellLives()
    },
    log,
  })
  if (listening === undefined) throw new Error('No worker has started')

  const take = (next: Config, logLevel: LogLevel): void => {
    for (const { link } of open.members()) {
      link.tell('take', { config: sentConfigOf(next), logLevel })
      link.tell('wanted', wanted())
    }
  }
  return {
    get ssh() {
      // Set by the first worker before this door was handed out.
      return listening as StartedWorker
    },
    async connections() {
      const lists = await Promise.all(
        open.members().map(({ link }) => link.ask('connections', null, shortMs).catch(() => [])),
      )
      return lists.flat()
    },
    counts: () => heads.counts(),
    usernames: () => heads.usernames(),
    sessionsOf: (username) => heads.sessionsOf(username),
    disconnect(which, text) {
      let ended = 0
      for (const [worker, ids] of heads.find(which)) {
        ended += ids.length
        links.get(worker)?.tell('disconnect', { ids, text })
      }
      return ended
    },
    async replace(next) {
      const change =
        (to: Config) =>
        async (member: CrewMember): Promise<StartedWorker> =>
          member.link.ask('replace', { config: sentConfigOf(to) }, startMs)
      const members = open.members()
      const outcomes = await Promise.allSettled(members.map(change(next)))
      const failed = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failed === undefined) {
        config = next
        for (const outcome of outcomes) if (outcome.status === 'fulfilled') listening = outcome.value
        return
      }
      // Who could not listen anew has gone back by itself; the others go back too.
      const changed = members.filter((_, index) => outcomes[index]?.status === 'fulfilled')
      await Promise.allSettled(changed.map(change(config)))
      throw failed.reason
    },
    tell(next) {
      config = next
      take(next, log.level)
    },
    measure: (into) => measure(open, colleagues, into),
    droppedLogLines: () =>
      [...colleagues.values()].reduce((sum, { figures }) => sum + figures.droppedLogLines, 0),
    workers() {
      const members = open.members()
      const pids = members.map(({ number, pid }) => `${number} is process ${pid}`).join(', ')
      return {
        ready: members.length > 0,
        detail: `${members.length} of ${count} run${pids === '' ? '' : `: ${pids}`}; ${open.lost} were replaced`,
      }
    },
    close: (graceMs) =>
      open.close(({ link }) => link.ask('close', { graceMs }, graceMs + tidyMs), graceMs + tidyMs),
  }
}

async function measure(crew: Crew, colleagues: ReadonlyMap<number, Colleague>, into: Meter): Promise<void> {
  const members = crew.members()
  await Promise.all(
    members.map(async ({ number, link }) => {
      const figures = await link.ask('measure', null, shortMs).catch(() => undefined)
      const colleague = colleagues.get(number)
      if (figures === undefined || colleague === undefined) return
      colleague.figures = figures
      const worker = String(number)
      into.set('sftpgo_worker_resident_bytes', figures.residentBytes, { worker })
      into.set('sftpgo_worker_cpu_seconds', figures.cpuSeconds, { worker })
    }),
  )
  into.set('sftpgo_workers', members.length)
  into.set('sftpgo_workers_lost', crew.lost)
}

/** The program of a worker, beside this file. */
function workerProgram(): string {
  const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  return new URL(`./worker-main${suffix}`, import.meta.url).pathname
}
