import type { Limiter } from '../base/limiter.ts'
import { FileError } from '../base/errors.ts'
import type { Soon } from '../base/soon.ts'
import { createArena, type Arena } from './arena.ts'
import type { CallPlace } from './directory-calls.ts'
import { errnos } from './errno.ts'
import { lastErrno, type ForeignFunction } from './library.ts'

/** A C function of whole numbers; its result is negative when it failed. */
export type WholeFunction = ForeignFunction<(...parameters: number[]) => number>

/** Calls `call`; a failure becomes the negative error number. Interrupted calls are made again. */
export type Invoke = (call: WholeFunction, ...parameters: number[]) => Soon<number>

/** Where C calls run: at once on this thread, or in the pool. */
export interface Lane {
  /** Runs `work` with memory that is its own until what it returns is ready. */
  use<T>(work: (arena: Arena, invoke: Invoke) => Soon<T>): Soon<T>
}

/** Calls at once. */
export function createInlineLane(): Lane {
  const arena = createArena()
  const invoke: Invoke = (call, ...parameters) => {
    for (;;) {
      const result = call(...parameters)
      if (result >= 0) return result
      const errno = lastErrno()
      if (errno !== errnos.EINTR) return -errno
    }
  }
  return { use: (work) => work(arena, invoke) }
}

/** Calls where `place` says at that moment. */
export function createLane(atOnce: Lane, place: CallPlace): Lane {
  let pooled: Lane | undefined
  return {
    use(work) {
      if (place.inline) return atOnce.use(work)
      pooled ??= createPooledLane(place.limiter)
      return pooled.use(work)
    },
  }
}

function createPooledLane(limiter: Limiter): Lane {
  const free: Arena[] = []
  return {
    async use(work) {
      const arena = free.pop() ?? createArena()
      try {
        return await work(arena, (call, ...parameters) =>
          queued(limiter, () => invokeLater(call, parameters)),
        )
      } finally {
        if (free.length < mostFreeArenas) free.push(arena)
      }
    },
  }
}

/** Arenas kept for the next call; each is 12 KiB. */
const mostFreeArenas = 2

function queued(limiter: Limiter, task: () => Promise<number>): Promise<number> {
  const turn = limiter.run(task)
  if (turn === undefined) throw new FileError('busy', 'Cannot queue another call: the disk does not keep up')
  return turn
}

function invokeLater(call: WholeFunction, parameters: readonly number[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      call.async(...parameters, (error: Error | null, result: number) => {
        if (error !== null) return reject(error)
        if (result >= 0) return resolve(result)
        const errno = lastErrno()
        if (errno === errnos.EINTR) attempt()
        else resolve(-errno)
      })
    }
    attempt()
  })
}
