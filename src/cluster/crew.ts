import cluster, { type Worker } from 'node:cluster'
import { backoffMs } from '../base/backoff.ts'
import { delay } from '../base/deadline.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { LinkToWorker } from './contract.ts'
import { createLink, type LinkHearers } from './link.ts'
import { portToWorker } from './process-port.ts'

/** The workers of a server, as their primary keeps them. */
export interface Crew {
  /** Those that have started and live. */
  members(): readonly CrewMember[]
  /** How many ended that nobody had told to. */
  readonly lost: number
  /** Ends all of them: each is asked to leave, and killed when it has not gone in time. Nobody is replaced any more. */
  close(leave: (member: CrewMember) => Promise<void>, withinMs: number): Promise<void>
}

/** One worker, from its fork to its end. */
export interface CrewMember {
  /** From 1; a replacement takes the number of the one before it. */
  readonly number: number
  /** Different for each. */
  readonly life: string
  readonly pid: number
  /** Milliseconds since 1970. */
  readonly since: number
  readonly link: LinkToWorker
}

/** What the crew needs from the one who opens it. */
export interface CrewOptions {
  readonly count: number
  /** The program of a worker. */
  readonly program: string
  readonly argumentsFor: (number: number) => readonly string[]
  readonly newLife: () => string
  /** What is answered to a worker and taken from it. */
  hearersFor(number: number, link: () => LinkToWorker): LinkHearers
  /** Tells a new worker what to do; it counts from when this resolves. */
  start(member: CrewMember): Promise<void>
  /** A worker is gone, with all that it had open. Its replacement begins after this. */
  gone(member: CrewMember): Promise<void>
  readonly log: Logger
  readonly pace?: Partial<CrewPace>
}

/** Times of the crew, in milliseconds. */
export interface CrewPace {
  /** Before a replacement, doubling with each failure. Default 100 to 30,000. */
  readonly firstRestartMs: number
  readonly mostRestartMs: number
  /** A worker that lived as long has not failed. Default 30,000. */
  readonly steadyMs: number
  /** How often a worker is asked whether it lives, and how long it may take to say so. Default 5,000 and 30,000. */
  readonly askEveryMs: number
  readonly answerMs: number
}

const usualPace: CrewPace = {
  firstRestartMs: 100,
  mostRestartMs: 30_000,
  steadyMs: 30_000,
  askEveryMs: 5_000,
  answerMs: 30_000,
}

/** Forks the workers. The first one alone, so that a mistake shows once and keys are made once; throws what it throws. */
export async function openCrew(options: CrewOptions): Promise<Crew> {
  const crew = new ForkedCrew(options)
  try {
    await crew.open()
  } catch (error) {
    await crew.close(async () => {}, 0)
    throw error
  }
  return crew
}

/** A member with the process that it is. */
interface Life {
  readonly member: CrewMember
  readonly process: Worker
  /** Resolves when the process has ended and its last message was heard. */
  readonly over: Promise<void>
  started: boolean
}

class ForkedCrew implements Crew {
  readonly #options: CrewOptions
  readonly #pace: CrewPace
  readonly #lives = new Map<number, Life>()
  readonly #closing = new AbortController()
  readonly #keepers: Promise<void>[] = []
  lost = 0

  constructor(options: CrewOptions) {
    this.#options = options
    this.#pace = { ...usualPace, ...options.pace }
  }

  async open(): Promise<void> {
    const { count } = this.#options
    const first = await this.#begin(1)
    const rest = await Promise.all(Array.from({ length: count - 1 }, (_, index) => this.#begin(index + 2)))
    for (const life of [first, ...rest]) this.#keepers.push(this.#keep(life))
  }

  members(): readonly CrewMember[] {
    return [...this.#lives.values()].flatMap(({ member, started }) => (started ? [member] : []))
  }

  async close(leave: (member: CrewMember) => Promise<void>, withinMs: number): Promise<void> {
    this.#closing.abort()
    const { log } = this.#options
    const enough = new AbortController()
    const leaving = this.members().map((member) =>
      leave(member).catch((error: unknown) =>
        log.error('worker did not leave in order', { worker: member.number, error: messageOf(error) }),
      ),
    )
    await Promise.race([Promise.all(leaving), delay(withinMs, enough.signal)])
    enough.abort()
    const left = [...this.#lives.values()]
    for (const { process } of left) process.kill('SIGKILL')
    await Promise.all(left.map(({ over }) => over))
    await Promise.all(this.#keepers)
  }

  /** Keeps a post filled until the crew closes. */
  async #keep(first: Life): Promise<void> {
    const { log } = this.#options
    const { number } = first.member
    let life: Life | undefined = first
    for (let failures = 0; ;) {
      if (life !== undefined) {
        const { since, pid } = life.member
        await this.#untilOver(life)
        if (this.#closing.signal.aborted) return
        this.lost += 1
        failures = Date.now() - since < this.#pace.steadyMs ? failures + 1 : 1
        log.error('worker ended and is replaced', { worker: number, pid, ...causeOf(life.process) })
      }
      const { firstRestartMs: firstMs, mostRestartMs: mostMs } = this.#pace
      await delay(backoffMs(failures, { firstMs, mostMs }), this.#closing.signal)
      if (this.#closing.signal.aborted) return
      try {
        life = await this.#begin(number)
      } catch (error) {
        life = undefined
        failures += 1
        log.error('worker could not start', { worker: number, error: messageOf(error) })
      }
    }
  }

  /** Waits for the end of a worker, and brings it about when it does not answer any more. */
  async #untilOver(life: Life): Promise<void> {
    const { askEveryMs, answerMs } = this.#pace
    const over = new AbortController()
    void life.over.then(() => over.abort())
    while (!over.signal.aborted) {
      await delay(askEveryMs, over.signal)
      if (over.signal.aborted || this.#closing.signal.aborted) break
      const answer = life.member.link.ask('measure', null, answerMs).then(
        () => true,
        () => false,
      )
      if (await Promise.race([answer, life.over])) continue
      if (over.signal.aborted) break
      this.#options.log.error('worker does not answer and is ended', { worker: life.member.number })
      life.process.kill('SIGKILL')
    }
    await life.over
  }

  /** Forks a worker and starts it. Rejects when it ends before it has started, or says that it cannot. */
  async #begin(number: number): Promise<Life> {
    const life = this.#fork(number)
    this.#lives.set(number, life)
    const early = life.over.then(() => {
      throw new Error(`Worker ${number} ended before it had started`)
    })
    early.catch(() => {})
    try {
      await Promise.race([this.#options.start(life.member), early])
      life.started = true
      return life
    } catch (error) {
      life.process.kill('SIGKILL')
      await life.over
      throw error
    }
  }

  #fork(number: number): Life {
    const options = this.#options
    const { program, argumentsFor, newLife, log } = options
    // Set at each fork: another server in this process may have other workers.
    cluster.schedulingPolicy = cluster.SCHED_RR
    cluster.setupPrimary({
      ...{ exec: program, args: [...argumentsFor(number)], execArgv: [] },
      ...{ serialization: 'advanced', silent: false },
    })
    const process = cluster.fork()
    const link: LinkToWorker = createLink({
      port: portToWorker(process.process),
      ...options.hearersFor(number, () => link),
      log: log.with({ worker: number }),
    })
    const member: CrewMember = {
      ...{ number, link, life: newLife(), since: Date.now() },
      pid: process.process.pid ?? 0,
    }
    const life: Life = { member, process, started: false, over: over().catch(() => {}) }
    return life

    async function over(): Promise<void> {
      // The channel ends after its last message, which may come later than the end of the process.
      await Promise.all([once(process, 'exit'), once(process, 'disconnect')])
      life.started = false
      link.close('the worker has ended')
      try {
        await options.gone(member)
      } catch (error) {
        log.error('worker not cleared away', { worker: number, error: messageOf(error) })
      }
    }
  }
}

function once(process: Worker, event: 'exit' | 'disconnect'): Promise<void> {
  return new Promise((resolve) => {
    if (event === 'exit' && process.isDead()) return resolve()
    process.once(event, () => resolve())
    // A process that could not be started has neither channel nor end.
    process.once('error', () => resolve())
  })
}

function causeOf({ process }: Worker): { readonly code: number | null; readonly signal: string | null } {
  return { code: process.exitCode, signal: process.signalCode }
}
