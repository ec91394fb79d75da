import { readdir, readFile } from 'node:fs/promises'
import { PluginError } from '../../base/errors.ts'
import { expectThat } from '../../slots/contract-case.ts'
import { slots } from '../../slots/index.ts'
import type { ServiceDescription } from '../../wire/service.ts'
import type { Kit, KitCheck } from './kit-check.ts'
import { isLost, type PluginRun } from './plugin-run.ts'
import { askUsual } from './questions.ts'

/** What a plugin promises while it is asked. */
export const callChecks: readonly KitCheck[] = [
  {
    promise: 'answers within its budget of time',
    async run(kit) {
      const run = await kit.run()
      const { answerMs } = kit.budgets
      let late = 0
      for (let index = 0; index < 40; index += 1) {
        const began = performance.now()
        await ask(kit, run)
        const took = performance.now() - began
        if (took > answerMs) late += 1
        // One in twenty may be late: a machine has other things to do as well.
        expectThat(late <= 2, `Answers take ${Math.round(took)} ms where ${answerMs} ms are allowed`)
      }
      return 'kept'
    },
  },
  {
    promise: 'answers two hundred calls at once, none of them too late',
    async run(kit) {
      const run = await kit.run()
      await Promise.all(Array.from({ length: 200 }, () => ask(kit, run)))
      return 'kept'
    },
  },
  {
    promise: 'takes a question of five megabytes',
    async run(kit) {
      const run = await kit.run()
      await ask(kit, run, kit.canary + 'x'.repeat(5 << 20))
      await ask(kit, run)
      return 'kept'
    },
  },
  {
    promise: 'survives bytes that are no message',
    async run(kit) {
      const run = await kit.run()
      const service: ServiceDescription = slots[kit.slot].service
      for (const key of Object.keys(service.methods)) {
        for (const bytes of noMessages) await sendRaw(run, service, key, bytes)
      }
      await ask(kit, run)
      return 'kept'
    },
  },
  {
    promise: 'understands a host on another gRPC library',
    async run(kit) {
      const run = await kit.run()
      const { fullName, methods }: ServiceDescription = slots[kit.slot].service
      const [method] = Object.values(methods)
      const { code } = await run.askAsStranger(`/${fullName}/${method?.name ?? ''}`, new Uint8Array())
      // Whatever it thinks of an empty question, it has to be its own word: these two come from who could not talk.
      expectThat(code !== unavailable && code !== deadlineExceeded, `It could not be asked (status ${code})`)
      const unknown = await run.askAsStranger(`/${fullName}/NobodyHasThisMethod`, new Uint8Array())
      expectThat(unknown.code === unimplemented, `It said ${unknown.code} to a method that does not exist`)
      return 'kept'
    },
  },
  {
    promise: 'says "unimplemented" to a method that nobody has',
    async run(kit) {
      const run = await kit.run()
      const service: ServiceDescription = slots[kit.slot].service
      const [key = ''] = Object.keys(service.methods)
      const error = await sendRaw(run, service, key, Buffer.alloc(0), 'NobodyHasThisMethod')
      expectThat(
        error instanceof PluginError && error.code === 'unimplemented',
        'It said something else to a method that does not exist',
      )
      return 'kept'
    },
  },
  {
    promise: 'survives fifty questions whose askers have gone',
    async run(kit) {
      const run = await kit.run()
      const leaving = Array.from({ length: 50 }, (_, index) => {
        const controller = new AbortController()
        setTimeout(() => controller.abort(), index % 5)
        const { slot, samples, canary } = kit
        return askUsual(slot, run.api, { secret: canary, samples, call: { signal: controller.signal } })
      })
      await Promise.allSettled(leaving)
      await ask(kit, run)
      return 'kept'
    },
  },
  {
    promise: 'does not grow with the questions it is asked',
    async run(kit) {
      const run = await kit.run()
      const long = kit.canary + 'y'.repeat(100_000)
      const ask100 = async (): Promise<void> => {
        for (let round = 0; round < 10; round += 1)
          await Promise.all(Array.from({ length: 10 }, () => ask(kit, run, long)))
      }
      await ask100()
      const before = await residentBytes(run.process.pid)
      if (before === undefined) return { skipped: 'This system does not say how much memory a process has' }
      for (let hundred = 0; hundred < 3; hundred += 1) await ask100()
      const grown = ((await residentBytes(run.process.pid)) ?? before) - before
      expectThat(grown < 96 << 20, `It grew by ${Math.round(grown / (1 << 20))} MiB over 300 questions`)
      return 'kept'
    },
  },
  {
    promise: 'closes what it opens',
    async run(kit) {
      const run = await kit.run()
      const ask50 = () => Promise.all(Array.from({ length: 50 }, () => ask(kit, run)))
      await ask50()
      const before = await openFiles(run.process.pid)
      if (before === undefined) return { skipped: 'This system does not say what a process has open' }
      for (let fifty = 0; fifty < 3; fifty += 1) await ask50()
      const more = ((await openFiles(run.process.pid)) ?? before) - before
      // Files and sockets that are open because they are used come and go by the dozen.
      expectThat(more < 100, `It has ${more} more files and sockets open after 150 questions`)
      return 'kept'
    },
  },
  {
    promise: 'uses no processor time while nobody asks',
    async run(kit) {
      const { pid } = (await kit.run()).process
      // Once may be what the questions before have left to clean up.
      for (let look = 0; look < 3; look += 1) {
        const before = await processorTime(pid)
        await new Promise((resolve) => setTimeout(resolve, 400))
        const after = await processorTime(pid)
        if (before === undefined || after === undefined)
          return { skipped: 'This system does not say how busy a process is' }
        const usedMs = after.usedMs - before.usedMs
        // Where others keep the processors busy, it stands in line for what it would like to use.
        if (usedMs <= 60 && usedMs + after.waitedMs - before.waitedMs <= 200) return 'kept'
      }
      throw new Error('It is busy although nobody asks')
    },
  },
]

/**
 * Asks the usual question. A refusal, an error and a missing method are answers too: being gone or late is none, and
 * nobody has the canary for a password, however often it was tried before.
 */
async function ask({ slot, samples, canary }: Kit, run: PluginRun, secret = canary): Promise<void> {
  try {
    const answer = await askUsual(slot, run.api, { secret, samples })
    const letIn = slot === 'auth' && isGrant(answer)
    expectThat(
      !letIn,
      'It let somebody in whose password was wrong: how often it is asked must change nothing',
    )
  } catch (error) {
    if (isLost(error) || !(error instanceof PluginError)) throw error
  }
}

function isGrant(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'granted' in answer && answer.granted === true
}

/** Numbers of gRPC for how a call ended. */
const [deadlineExceeded, unimplemented, unavailable] = [4, 12, 14]

const noMessages: readonly Uint8Array[] = [
  // Field 1, said to be 127 bytes long, and nothing after it.
  Uint8Array.of(0x0a, 0x7f),
  // A number that never ends.
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  // Text that is not UTF-8.
  Uint8Array.of(0x0a, 0x02, 0xc3, 0x28),
]

/** Sends bytes as a question. Resolves with what it failed with; undefined: it was answered. Throws when that was the end. */
async function sendRaw(
  { channel }: PluginRun,
  service: ServiceDescription,
  key: string,
  bytes: Uint8Array,
  name?: string,
): Promise<unknown> {
  const method = service.methods[key]
  if (method === undefined) return undefined
  const raw = { encode: () => ({ finish: () => bytes }), decode: () => ({}) }
  const made = { ...method, ...(name !== undefined && { name }), requestType: raw, responseType: raw }
  // The caller is built from the description at run time; its type cannot know the made-up method.
  const caller = channel.caller({ ...service, methods: { ask: made } }, { timeoutMs: 5_000 }) as unknown as {
    ask(request: object): Promise<unknown>
  }
  try {
    await caller.ask({})
    return undefined
  } catch (error) {
    if (isLost(error)) throw error
    return error
  }
}

async function openFiles(pid: number): Promise<number | undefined> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => undefined)
  return names?.length
}

async function residentBytes(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/statm`, 'latin1').catch(() => '')
  const pages = Number(text.split(' ')[1])
  return text === '' || !Number.isFinite(pages) ? undefined : pages * 4096
}

/** What all threads of a process have used, and how long they stood in line for it. */
async function processorTime(
  pid: number,
): Promise<{ readonly usedMs: number; readonly waitedMs: number } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  if (text === '' || !Number.isFinite(ticks)) return undefined
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const waits = await Promise.all(threads.map((thread) => waitedNs(pid, thread)))
  // Every Linux that matters counts a hundred ticks a second.
  return { usedMs: ticks * 10, waitedMs: waits.reduce((sum, ns) => sum + ns, 0) / 1e6 }
}

async function waitedNs(pid: number, thread: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').catch(() => '')
  return Number(text.split(' ')[1] ?? 0)
}
