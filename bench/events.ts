// How fast events are written down and told, what a commit costs an upload, and what an outage costs in memory.
// npm run bench -- events [--quick] [--outage 1000000]
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { virtualPath } from '../src/base/virtual-path.ts'
import { openDatabase, type Database } from '../src/database/open-database.ts'
import type { FileEvent } from '../src/events/event.ts'
import type { NotifierEntry } from '../src/events/notifier-entry.ts'
import { openEventLog, type OpenEventLog } from '../src/events/open-event-log.ts'
import { slots } from '../src/slots/index.ts'
import type { Notifier } from '../src/slots/notifier/contract.ts'
import { createIdentity } from '../src/wire/certificate.ts'
import { openChannel } from '../src/wire/client.ts'
import { socketPathIn } from '../src/wire/endpoint.ts'

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, outage: { type: 'string' } },
})
const users = 64
const events = values.quick ? 10_000 : 40_000
const outage = Number(values.outage ?? (values.quick ? 50_000 : 300_000))
const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-bench-'))

/** A notifier that is not there. */
const away: NotifierEntry = { name: 'bench', notifier: () => undefined, wants: { files: ['upload'] } }

try {
  console.log(`Node ${process.version}, ${users} users, database on ${folder}`)
  for (const durable of [false, true]) await writing(durable)
  for (const durable of [false, true]) await commitCost(durable)
  for (const who of ['64 users', 'one user']) await delivering(who === 'one user' ? 1 : users)
  await both()
  await outageMemory()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function writing(durable: boolean): Promise<void> {
  await using at = await openAll(durable, away)
  // Ten uploads of each user at once, as a busy server has them.
  const seconds = await timed(() => writeAll(at.log, users, events, 10))
  report(`written (intent, then commit), durable ${durable}`, rate(events, seconds))
}

/** What an upload waits for at CLOSE, and before it at OPEN, at a hundred uploads a second. */
async function commitCost(durable: boolean): Promise<void> {
  await using at = await openAll(durable, away)
  const closes: number[] = []
  const opens: number[] = []
  const uploads: Promise<void>[] = []
  for (let n = 0; n < (values.quick ? 200 : 500); n += 1) {
    uploads.push(
      (async () => {
        const began = performance.now()
        const intent = await at.log.intend({ event: uploadOf(n), check: { of: 'unknown' } })
        opens.push(performance.now() - began)
        const before = performance.now()
        await intent.commit(uploadOf(n))
        closes.push(performance.now() - before)
      })(),
    )
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await Promise.all(uploads)
  report(
    `a commit at 100 uploads/s, durable ${durable}`,
    `median ${quantile(closes, 0.5)} ms, p99 ${quantile(closes, 0.99)} ms (intent: ${quantile(opens, 0.5)} ms)`,
  )
}

async function delivering(streams: number): Promise<void> {
  await using plugin = await startNotifier()
  let ready = false
  let tellReady = (): void => {}
  await using at = await openAll(false, {
    ...away,
    notifier: () => (ready ? plugin.notifier : undefined),
    onReady: (action) => ((tellReady = action), () => {}),
  })
  await writeAll(at.log, streams, events, 10)
  const before = await plugin.heard()
  const seconds = await timed(async () => {
    ready = true
    tellReady()
    await drained(at.database)
  })
  const heard = (await plugin.heard()) - before
  report(`told from a backlog, ${streams} users`, `${rate(heard, seconds)} (${heard} heard)`)
}

/** Written and told at the same time: what a server under load does. */
async function both(): Promise<void> {
  await using plugin = await startNotifier()
  await using at = await openAll(false, { ...away, notifier: () => plugin.notifier })
  const seconds = await timed(async () => {
    await writeAll(at.log, users, events, 4)
    await drained(at.database)
  })
  report('written and told at the same time', rate(events, seconds))
}

async function outageMemory(): Promise<void> {
  await using plugin = await startNotifier()
  let ready = false
  let tellReady = (): void => {}
  await using at = await openAll(false, {
    ...away,
    notifier: () => (ready ? plugin.notifier : undefined),
    onReady: (action) => ((tellReady = action), () => {}),
  })
  const marks: number[] = []
  for (let part = 0; part < 10; part += 1) {
    await writeAll(at.log, users, outage / 10, 10)
    globalThis.gc?.()
    marks.push(process.memoryUsage().rss)
  }
  const bytes = statSync(join(at.path)).size
  report(
    `memory in an outage of ${outage} events`,
    `${mebibytes(marks[1])} MiB after a fifth, ${mebibytes(marks[9])} MiB at the end; ${Math.round(bytes / outage)} bytes of disk per event`,
  )
  const seconds = await timed(async () => {
    ready = true
    tellReady()
    await drained(at.database)
  })
  report('its backlog drained', `${rate(outage, seconds)}, ${mebibytes(process.memoryUsage().rss)} MiB`)
}

interface Opened extends AsyncDisposable {
  readonly database: Database
  readonly log: OpenEventLog
  readonly path: string
}

async function openAll(durable: boolean, entry: NotifierEntry): Promise<Opened> {
  const path = join(folder, `${Math.random()}.db`)
  const database = await openDatabase({ path })
  const log = await openEventLog({
    database,
    notifiers: [entry],
    settings: { durable, diskBudgetBytes: 2 ** 40, retention: { maxBytes: 2 ** 40 } },
  })
  return {
    ...{ database, log, path },
    async [Symbol.asyncDispose]() {
      await log.close()
      await database.close()
      rmSync(path, { force: true })
    },
  }
}

interface NotifierProcess extends AsyncDisposable {
  readonly notifier: Notifier
  heard(): Promise<number>
}

async function startNotifier(): Promise<NotifierProcess> {
  const identity = await createIdentity()
  const place = mkdtempSync(join(tmpdir(), 'sftpgo-ts-bench-'))
  const child = fork(new URL('./events/notifier-process.js', import.meta.url), [
    socketPathIn(place),
    Buffer.from(identity.certificatePem).toString('base64'),
  ])
  const { address, certificate } = await said<{ address: never; certificate: string }>(child)
  const channel = await openChannel({
    address,
    tls: { identity, pluginCertificate: Buffer.from(certificate, 'base64') },
  })
  const notifier = slots.notifier.connect(channel.caller(slots.notifier.service, { timeoutMs: 20_000 }))
  return {
    notifier,
    async heard() {
      child.send('how many')
      return (await said<{ heard: number }>(child)).heard
    },
    async [Symbol.asyncDispose]() {
      await channel.close()
      child.disconnect()
      await once(child, 'exit')
      rmSync(place, { recursive: true, force: true })
    },
  }
}

async function said<T>(child: ChildProcess): Promise<T> {
  const [message] = await once(child, 'message')
  return message as T // our own two programs
}

async function writeAll(log: OpenEventLog, streams: number, count: number, atOnce: number): Promise<void> {
  let n = 0
  const one = async (): Promise<void> => {
    while (n < count) {
      const event = uploadOf(n++, streams)
      const intent = await log.intend({ event, check: { of: 'unknown' } })
      await intent.commit(event)
    }
  }
  await Promise.all(Array.from({ length: users * atOnce }, one))
}

async function drained(database: Database): Promise<void> {
  const owed = database.query('select 1 as one from delivery limit 1')
  while (owed.get() !== undefined) await new Promise((resolve) => setTimeout(resolve, 5))
}

function uploadOf(n: number, streams = users): FileEvent {
  const username = `user-${n % streams}`
  return {
    ...{ kind: 'file', action: 'upload', username, role: '', status: 1, size: 4096, protocol: 'SFTP' },
    path: virtualPath(`/incoming/2026/11/21/file-${n}.csv`),
    storagePath: `/srv/data/${username}/incoming/2026/11/21/file-${n}.csv`,
    ...{ address: '192.0.2.17', sessionId: `SFTP_8f2c41d6_${n % 7}`, filesystemProvider: 0 },
    ...{ openFlags: 0, elapsedMs: 12 },
  }
}

/** Seconds by the clock, and those of the processor that this process took: they hold on a busy machine too. */
async function timed(action: () => Promise<void>): Promise<{ readonly clock: number; readonly cpu: number }> {
  const began = performance.now()
  const before = process.cpuUsage()
  await action()
  const { user, system } = process.cpuUsage(before)
  return { clock: (performance.now() - began) / 1000, cpu: (user + system) / 1e6 }
}

function report(what: string, figure: string): void {
  console.log(`${what.padEnd(52)} ${figure}`)
}

function rate(count: number, { clock, cpu }: { readonly clock: number; readonly cpu: number }): string {
  return `${Math.round(count / clock)} events/s, ${Math.round((cpu * 1e6) / count)} microseconds of CPU each`
}

function quantile(values: readonly number[], part: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(2)
}

function mebibytes(bytes = 0): number {
  return Math.round(bytes / 2 ** 20)
}
