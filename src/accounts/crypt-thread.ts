import { Worker } from 'node:worker_threads'
import { md5Crypt } from './md5-crypt.ts'

/** A thread that checks hashes of crypt(3): `$1$`, `$apr1$`, `$5$`, `$6$`. These have no asynchronous implementation. */
export interface CryptThread {
  /** Whether `password` has this hash. Rejects when the thread could not tell within its time. */
  verify(password: string, hash: string): Promise<boolean>
  close(): Promise<void>
}

/** Longest time for one hash; the bound on rounds keeps honest ones far below. */
const timeoutMs = 20_000

/** Creates the thread's handle; the thread itself starts with the first question. */
export function createCryptThread(): CryptThread {
  let worker: Worker | undefined
  let last = 0
  const open = new Map<number, (answer: boolean | Error) => void>()

  const fail = (thread: Worker, error: Error): void => {
    // The end of one that was given up long ago says nothing about its successor.
    if (worker !== thread) return
    worker = undefined
    for (const settle of open.values()) settle(error)
  }
  const started = (): Worker => {
    if (worker !== undefined) return worker
    const thread = new Worker(threadSource, {
      eval: true,
      execArgv: [],
      workerData: { library: import.meta.resolve('unixcrypt') },
    })
    thread.unref()
    thread.on('message', ({ id, matches }: { id: number; matches: boolean }) => open.get(id)?.(matches))
    thread.on('error', (error) => fail(thread, error))
    thread.on('exit', () => fail(thread, new Error('The thread for crypt hashes ended')))
    worker = thread
    return thread
  }
  return {
    verify(password, hash) {
      const id = ++last
      return new Promise((resolve, reject) => {
        const thread = started()
        const timer = setTimeout(() => {
          void thread.terminate()
          fail(thread, new Error('A crypt hash took too long'))
        }, timeoutMs)
        open.set(id, (answer) => {
          clearTimeout(timer)
          open.delete(id)
          if (answer instanceof Error) reject(answer)
          else resolve(answer)
        })
        thread.postMessage({ id, password, hash })
      })
    },
    async close() {
      await worker?.terminate()
    },
  }
}

// The thread's program is text, so that it runs the same from source in tests and from the built package:
// a worker cannot load TypeScript on Node 20. md5Crypt needs nothing but its arguments for this reason.
const threadSource = `
const { parentPort, workerData } = require('node:worker_threads')
const { createHash, timingSafeEqual } = require('node:crypto')
const md5Crypt = ${md5Crypt.toString()}
const same = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
import(workerData.library).then(({ verify }) => {
  parentPort.on('message', ({ id, password, hash }) => {
    let matches = false
    try {
      const md5 = /^\\$(1|apr1)\\$([^$]*)\\$/.exec(hash)
      matches = md5 === null ? verify(password, hash) : same(md5Crypt(createHash, password, md5[2], md5[1]), hash)
    } catch {}
    parentPort.postMessage({ id, matches })
  })
})
`
