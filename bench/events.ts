// How fast events are written down and told, what a commit costs an upload, and what an outage costs in memory.
// npm run bench -- events [--quick] [--outage 1000000] [--part speed|outage] [--save]
// With --save the figures go into docs/limits.md.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { virtualPath } from '../src/base/virtual-path.ts'
import { openDatabase } from '../src/database/open-database.ts'
import type { FileEvent } from '../src/events/event.ts'
import { fileNoticeOf } from '../src/events/notice.ts'
import type { NotifierEntry } from '../src/events/notifier-entry.ts'
import { openEventLog, type OpenEventLog } from '../src/events/open-event-log.ts'
import { openPartJournal } from '../src/files/part-journal.ts'
import { connectSlot } from '../src/slots/index.ts'
import type { Notifier } from '../src/slots/notifier/contract.ts'
import { backends } from '../src/storage/index.ts'
import { createIdentity } from '../src/wire/certificate.ts'
import { openChannel } from '../src/wire/client.ts'
import { socketPathIn } from '../src/wire/endpoint.ts'
import { filesOn, homeOn } from '../test/helpers/user-files.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    outage: { type: 'string' },
    part: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
})
const users = 64
const events = values.quick ? 10_000 : 40_000
const outage = Number(values.outage ?? (values.quick ? 50_000 : 1_000_000))
const rows: Row[] = []
const toWrite = {
  ...{ read: false, write: true, append: false, create: true, truncate: true, exclusive: false },
  mode: 0o644,
}
const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-bench-'))

/** A notifier that is not there. */
const away: NotifierEntry = { name: 'bench', notifier: () => undefined, wants: { files: ['upload'] } }

try {
  console.log(`Node ${process.version}, ${users} users, database on ${folder}`)
  if (values.part !== 'outage') {
    for (const durable of [false, true]) await writing(durable)
    await closing()
    await calling()
    for (const who of ['64 users', 'one user']) await delivering(who === 'one user' ? 1 : users)
    await both()
  }
  if (values.part !== 'speed') await outageMemory()
  if (values.save) writeDown(rows)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function writing(durable: boolean): Promise<void> {
  await using at = await openAll(durable, away)
  // Ten uploads of each user at once, as a busy server has them.
  const seconds = await timed(() => writeAll(at.log, users, events, 10))
  report(`written (intent, then commit), durable ${durable}`, rate(events, seconds), durable ? '' : '5,000')
}

/** What the CLOSE of a small file costs, with nobody to tell and with somebody, at a hundred uploads a second. */
async function closing(): Promise<void> {
  const alone = await closeTimes(undefined)
  const plain = await closeTimes(false)
  const durable = await closeTimes(true)
  const shown = (times: readonly number[]): string =>
    `median ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms`
  report('CLOSE at 100 uploads/s of 4 KiB, without events', shown(alone))
  report('the same with events', shown(plain), 'median 3 ms more')
  report('the same with events, durable', shown(durable))
}

/** `durable` undefined: without events. */
async function closeTimes(durable: boolean | undefined): Promise<number[]> {
  await using at = await openAll(durable ?? false, away)
  const realRoot = mkdtempSync(join(folder, 'home-'))
  const backend = backends.local({ root: realRoot })
  const journal = openPartJournal(join(realRoot, '../uploads.journal'))
  const files = filesOn(backend, {
    home: homeOn(backend, { realRoot }),
    ...{ journal, policy: { uploadMode: 1, durable: durable ?? false } },
    ...(durable === undefined ? {} : { events: at.log }),
  })
  const times: number[] = []
  const uploads: Promise<void>[] = []
  for (let n = 0; n < (values.quick ? 200 : 500); n += 1) {
    uploads.push(
      (async () => {
        const file = await files.open(virtualPath(`/file-${n}`), toWrite)
        await file.write([Buffer.alloc(4096)], 0)
        const before = performance.now()
        await file.close()
        times.push(performance.now() - before)
      })(),
    )
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await Promise.all(uploads)
  journal.close()
  await backend.close()
  return times
}

/** What the plugin and the channel to it can do at most: the same calls, with nothing written down. */
async function calling(): Promise<void> {
  await using plugin = await startNotifier()
  let n = 0
  const caller = async (): Promise<void> => {
    while (n < events) {
      n += 1
      await plugin.notifier.notifyFile?.(fileNoticeOf(uploadOf(n), { id: String(n), seq: n, createdMs: n }))
    }
  }
  const seconds = await timed(async () => {
    await Promise.all(Array.from({ length: 32 }, caller))
  })
  report('bare calls to the plugin, 32 at once', rate(events, seconds))
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
    await drained(at.log)
  })
  const heard = (await plugin.heard()) - before
  report(
    `told from a backlog, ${streams === 1 ? 'one user' : `${streams} users`}`,
    `${rate(heard, seconds)} (${heard} heard)`,
    streams === 1 ? '' : '4,000',
  )
}

/** Written and told at the same time: what a server under load does. */
async function both(): Promise<void> {
  await using plugin = await startNotifier()
  await using at = await openAll(false, { ...away, notifier: () => plugin.notifier })
  const seconds = await timed(async () => {
    await writeAll(at.log, users, events, 4)
    await drained(at.log)
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
    collect()
    marks.push(process.memoryUsage().rss)
  }
  const bytes = statSync(join(at.path)).size
  report(
    `memory in an outage of ${outage} events`,
    `${mebibytes(marks[1])} MiB after a fifth, ${mebibytes(marks[9])} MiB at the end; ${Math.round(bytes / outage)} bytes of disk per event`,
    'flat',
  )
  const seconds = await timed(async () => {
    ready = true
    tellReady()
    await drained(at.log)
  })
  report('its backlog drained', `${rate(outage, seconds)}, ${mebibytes(process.memoryUsage().rss)} MiB`)
}

interface Opened extends AsyncDisposable {
  readonly log: OpenEventLog
  readonly path: string
}

async function openAll(durable: boolean, entry: NotifierEntry): Promise<Opened> {
  const path = join(folder, `${Math.random()}.db`)
  const database = await openDatabase({ path })
  const log = await openEventLog({
    ...{ database, notifiers: [entry], journalFile: `${path}.journal` },
    settings: { durable, diskBudgetBytes: 2 ** 40, retention: { maxBytes: 2 ** 40 } },
  })
  return {
    ...{ log, path },
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
  const notifier = connectSlot('notifier', channel, { timeoutMs: 20_000 })
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

async function drained(log: OpenEventLog): Promise<void> {
  while (log.status().notifiers.some(({ waiting }) => waiting > 0))
    await new Promise((resolve) => setTimeout(resolve, 5))
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

/** One line of the table. */
interface Row {
  readonly what: string
  readonly figure: string
  readonly goal: string
}

function report(what: string, figure: string, goal = ''): void {
  rows.push({ what, figure, goal })
  console.log(`${what.padEnd(52)} ${figure}`)
}

/** Puts the rows into docs/limits.md, in the place of what an earlier run of this part on this Node said. */
function writeDown(measured: readonly Row[]): void {
  const page = 'docs/limits.md'
  const part = values.part ?? 'all'
  const title = `### Node ${process.versions.node.split('.')[0] ?? ''}, ${part === 'outage' ? 'an outage' : 'speed'}`
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`
  const section = [
    ...[
      title,
      '',
      `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${machine}, ${users} users:`,
      '',
    ],
    ...['| what | measured | goal |', '| --- | --- | --- |'],
    ...measured.map(({ what, figure, goal }) => `| ${what} | ${figure} | ${goal} |`),
  ]
  const [before = '', after = ''] = readFileSync(page, 'utf8').split(/^(?=## Measured: events\n)/m)
  const [events = '', ...others] = after.split(/^(?=## )/m)
  const [head = '', ...sections] = events.split(/^(?=### )/m)
  const kept = sections.filter((each) => !each.startsWith(`${title}\n`)).map((each) => each.trim())
  const all = [head.trim(), ...[...kept, section.join('\n')].toSorted()].join('\n\n')
  writeFileSync(page, `${before}${all}\n${others.length > 0 ? '\n' : ''}${others.join('')}`)
}

/** Collects garbage, so that what is left is what is held. */
function collect(): void {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void // what the flag makes
  gc()
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
