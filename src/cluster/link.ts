import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { type ToldError, errorOf, toldErrorOf } from './told-error.ts'

/** What can be asked, by name: what is handed in, and what comes back. */
export type Questions = { readonly [name: string]: readonly [input: unknown, output: unknown] }

/** What can be told, by name: what is handed over. */
export type News = { readonly [name: string]: unknown }

/** The line to the other process: questions with answers, and news without. Everything told or asked arrives in order. */
export interface Link<Q extends Questions, N extends News> {
  /** Rejects with the other side's error, or with a `LinkError` when no answer comes. */
  ask<K extends keyof Q & string>(what: K, input: Q[K][0], withinMs?: number): Promise<Q[K][1]>
  /** Dropped when the other side is gone. */
  tell<K extends keyof N & string>(what: K, news: N[K]): void
  /** What waits to be taken by the other side, in messages. */
  readonly backlog: number
  /** Ends it: whoever waits for an answer hears so. */
  close(reason: string): void
}

/** What carries frames between two processes, in order. */
export interface FramePort {
  /** Calls `sent` when the frames have left this process. */
  send(frames: readonly Frame[], sent: () => void): void
  receive(listener: (frames: unknown) => void): void
}

/** One message. */
export type Frame =
  | readonly ['ask', id: number, what: string, input: unknown]
  | readonly ['tell', what: string, news: unknown]
  | readonly ['answer', id: number, output: unknown]
  | readonly ['failure', id: number, error: ToldError]

/** What a side does with what it hears. Inputs are looked at by whoever takes them. */
export interface LinkHearers {
  readonly answers: Readonly<Record<string, (input: unknown) => unknown>>
  readonly news: Readonly<Record<string, (news: unknown) => void>>
}

/** How a link is made. */
export interface LinkOptions extends LinkHearers {
  readonly port: FramePort
  readonly log: Logger
  /** Questions that may wait for their answers; the next is refused. Default 20,000. */
  readonly mostOpen?: number
  /** Frames that may wait to leave; then the other side is as good as gone. Default 100,000. */
  readonly mostBacklog?: number
}

/** No answer came. */
export class LinkError extends Error {
  override readonly name = 'LinkError'
  readonly code: 'gone' | 'deadline' | 'overloaded' | 'unknown-question'

  constructor(code: LinkError['code'], message: string) {
    super(message)
    this.code = code
  }
}

const usualMs = 30_000

interface OpenQuestion {
  readonly timer: NodeJS.Timeout
  settle(output: unknown): void
  fail(error: unknown): void
}

/** Joins a port with the tables of one side. */
export function createLink<Q extends Questions, N extends News>(options: LinkOptions): Link<Q, N> {
  const { port, answers, news: hears, log, mostOpen = 20_000, mostBacklog = 100_000 } = options
  const open = new Map<number, OpenQuestion>()
  let last = 0
  let waiting: Frame[] = []
  let leaving = 0
  let closed: string | undefined

  /** What is said in one turn leaves together: a message costs a system call on both sides. */
  const say = (frame: Frame): void => {
    if (closed !== undefined) return
    waiting.push(frame)
    if (waiting.length === 1) queueMicrotask(send)
  }
  const send = (): void => {
    const frames = waiting
    waiting = []
    if (closed !== undefined || frames.length === 0) return
    leaving += frames.length
    port.send(frames, () => (leaving -= frames.length))
    if (leaving > mostBacklog) close('the other process does not listen')
  }
  const close = (reason: string): void => {
    if (closed !== undefined) return
    closed = reason
    const all = [...open.values()]
    open.clear()
    for (const question of all) {
      clearTimeout(question.timer)
      question.fail(new LinkError('gone', `No answer: ${reason}`))
    }
  }
  port.receive((frames) => {
    if (!Array.isArray(frames)) return log.error('message not understood', {})
    for (const frame of frames) hear(frame)
  })

  function hear(frame: unknown): void {
    const [kind, first, second, third] = Array.isArray(frame) ? (frame as readonly unknown[]) : []
    if (kind === 'ask' && typeof first === 'number' && typeof second === 'string')
      return void answer(first, second, third)
    if (kind === 'tell' && typeof first === 'string') return take(first, second)
    if ((kind === 'answer' || kind === 'failure') && typeof first === 'number') {
      const question = open.get(first)
      open.delete(first)
      if (question === undefined) return // it came too late
      clearTimeout(question.timer)
      return kind === 'answer' ? question.settle(second) : question.fail(errorOf(second))
    }
    log.error('message not understood', { kind: String(kind).slice(0, 40) })
  }

  function take(what: string, news: unknown): void {
    try {
      if (!Object.hasOwn(hears, what)) throw new LinkError('unknown-question', 'nobody here takes it')
      hears[what]?.(news)
    } catch (error) {
      log.error('message not taken', { what: what.slice(0, 40), error: messageOf(error) })
    }
  }

  async function answer(id: number, what: string, input: unknown): Promise<void> {
    try {
      if (!Object.hasOwn(answers, what))
        throw new LinkError('unknown-question', `Nobody answers "${what.slice(0, 40)}"`)
      say(['answer', id, await answers[what]?.(input)])
    } catch (error) {
      say(['failure', id, toldErrorOf(error)])
    }
  }

  return {
    ask(what, input, withinMs = usualMs) {
      if (closed !== undefined) return Promise.reject(new LinkError('gone', `Cannot ask: ${closed}`))
      if (open.size >= mostOpen)
        return Promise.reject(new LinkError('overloaded', 'Cannot ask: too many questions are open'))
      const id = ++last
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          open.delete(id)
          reject(new LinkError('deadline', `No answer to "${what}" within ${withinMs} ms`))
        }, withinMs)
        timer.unref()
        open.set(id, { timer, settle: resolve, fail: reject })
        say(['ask', id, what, input])
      })
    },
    tell: (what, news) => say(['tell', what, news]),
    get backlog() {
      return leaving + waiting.length
    },
    close,
  }
}
