import { Worker } from 'node:worker_threads'
import { md5Crypt } from './md5-crypt.ts'
import type { PasswordHash } from './password-hash.ts'

/** Threads of their own on which passwords are hashed, behind everybody else in the line for a core. */
export interface HashThreads {
  /** Whether `password` has this hash. Rejects when no thread could tell within its time. */
  verify(hash: PasswordHash, password: string): Promise<boolean>
  /** The hash of a new password. */
  hash(kind: NewHash, password: string): Promise<string>
  close(): Promise<void>
}

/** How a new password is hashed. */
export type NewHash =
  | {
      readonly kind: 'argon2id'
      readonly memory: number
      readonly iterations: number
      readonly parallelism: number
    }
  | { readonly kind: 'bcrypt'; readonly cost: number }

/** Longest time for one hash; the bounds on costs keep honest ones far below. */
const timeoutMs = 20_000

/**
 * How much the threads step back, in Unix's niceness: 2 is two thirds of another thread's share of a crowded core.
 * More would keep people from logging in there: with 5, and seven programs for each core, hashing took five times as
 * long as with 0.
 */
const niceness = 2

type Task =
  | { readonly do: 'verify'; readonly hash: PasswordHash; readonly password: string }
  | { readonly do: 'hash'; readonly kind: NewHash; readonly password: string }

type Answer = { readonly result: unknown } | { readonly error: string }

/** Creates the handle of `most` threads; each starts when it is first needed, and serves one task at a time. */
export function createHashThreads(most: number): HashThreads {
  const idle: HashThread[] = []
  const waiting: ((thread: HashThread) => void)[] = []
  let started = 0

  const take = (): HashThread | Promise<HashThread> => {
    const thread = idle.pop()
    if (thread !== undefined) return thread
    if (started < most) {
      started += 1
      return startThread()
    }
    // Whoever hands out tasks keeps to as many as there are threads; this is for the moment in between.
    return new Promise((resolve) => void waiting.push(resolve))
  }
  const giveBack = (thread: HashThread): void => {
    const next = waiting.shift()
    if (next !== undefined) return next(thread.alive ? thread : startThread())
    if (thread.alive) idle.push(thread)
    else started -= 1
  }
  const run = async (task: Task): Promise<unknown> => {
    const thread = await take()
    try {
      return await thread.run(task)
    } finally {
      giveBack(thread)
    }
  }
  return {
    verify: async (hash, password) => (await run({ do: 'verify', hash, password })) === true,
    hash: async (kind, password) => String(await run({ do: 'hash', kind, password })),
    async close() {
      await Promise.all(idle.map((thread) => thread.end()))
    },
  }
}

interface HashThread {
  readonly alive: boolean
  run(task: Task): Promise<unknown>
  end(): Promise<void>
}

function startThread(): HashThread {
  const worker = new Worker(threadSource, {
    eval: true,
    execArgv: [],
    workerData: {
      md5Crypt: md5Crypt.toString(),
      niceness,
      argon2: import.meta.resolve('@node-rs/argon2'),
      bcrypt: import.meta.resolve('@node-rs/bcrypt'),
      unixcrypt: import.meta.resolve('unixcrypt'),
    },
  })
  worker.unref()
  let alive = true
  let settle: ((answer: Answer) => void) | undefined
  const fail = (text: string): void => {
    alive = false
    settle?.({ error: text })
  }
  worker.on('message', (answer: Answer) => settle?.(answer))
  worker.on('error', (error) => fail(`The thread for hashes failed: ${error.message}`))
  worker.on('exit', () => fail('The thread for hashes ended'))
  return {
    get alive() {
      return alive
    },
    run(task) {
      return new Promise((resolve, reject) => {
        if (!alive) return reject(new Error('The thread for hashes ended'))
        // While somebody waits for it the thread keeps the program alive.
        worker.ref()
        const timer = setTimeout(() => {
          fail('A hash took too long')
          void worker.terminate()
        }, timeoutMs)
        settle = (answer) => {
          settle = undefined
          clearTimeout(timer)
          worker.unref()
          if ('error' in answer) reject(new Error(answer.error))
          else resolve(answer.result)
        }
        worker.postMessage(task)
      })
    },
    async end() {
      await worker.terminate()
    },
  }
}

// The thread's program is text, so that it runs the same from source in tests and from the built package:
// a worker cannot load TypeScript on Node 20. md5Crypt needs nothing but its arguments for this reason.
const threadSource = `
const { parentPort, workerData } = require('node:worker_threads')
const { createHash, pbkdf2Sync, timingSafeEqual } = require('node:crypto')
const { readlinkSync } = require('node:fs')
const { setPriority } = require('node:os')
try {
  // On Linux every thread has a niceness of its own, and hands it on to the threads that argon2 starts.
  setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), workerData.niceness)
} catch {}
const md5Crypt = eval('(' + workerData.md5Crypt + ')')
const same = (a, b) => a.length === b.length && timingSafeEqual(a, b)
const named = (module) => ({ ...module.default, ...module })
const libraries = Promise.all(['argon2', 'bcrypt', 'unixcrypt'].map(async (name) => named(await import(workerData[name]))))

function verify({ kind, text, ...hash }, password, [argon2, bcrypt, unixcrypt]) {
  switch (kind) {
    case 'argon2id':
      return argon2.verifySync(text, password)
    case 'bcrypt':
      return bcrypt.verifySync(password, text.replace(/^\\$2\\$/, '$2a$'))
    case 'pbkdf2':
      return same(pbkdf2Sync(password, hash.salt, hash.iterations, hash.key.length, hash.digest), Buffer.from(hash.key))
    case 'digest':
      return same(createHash(hash.digest).update(password).digest(), Buffer.from(hash.key))
    case 'crypt': {
      const md5 = /^\\$(1|apr1)\\$([^$]*)\\$/.exec(text)
      if (md5 === null) return unixcrypt.verify(password, text)
      return same(Buffer.from(md5Crypt(createHash, password, md5[2], md5[1])), Buffer.from(text))
    }
  }
}

function hash(kind, password, [argon2, bcrypt]) {
  if (kind.kind === 'bcrypt') return bcrypt.hashSync(password, { cost: kind.cost, version: '2a' })
  // Without a named variant it is argon2id.
  const { memory: memoryCost, iterations: timeCost, parallelism } = kind
  return argon2.hashSync(password, { memoryCost, timeCost, parallelism })
}

parentPort.on('message', async (task) => {
  const tools = await libraries
  if (task.do === 'hash') {
    try {
      parentPort.postMessage({ result: hash(task.kind, task.password, tools) })
    } catch (error) {
      parentPort.postMessage({ error: error.message })
    }
    return
  }
  let result = false
  try {
    result = verify(task.hash, task.password, tools)
  } catch {} // a hash that the library does not take is nobody's
  parentPort.postMessage({ result })
})
`
