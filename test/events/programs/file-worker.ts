// A server without SSH: many sessions that upload, rename, overwrite, read, delete and make directories at once, through
// the files, the disk and the event log of the real one, told to a real notifier. What a client would have heard OK for
// goes into the ledger (a file: a pipe that is full would end the process at a moment of its own).
// Arguments: folder (with the notifier's socket and keys), sessions, turns of each, whether events are durable, a failpoint
// (see `failpoints.ts`).
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { OpenIntent } from '../../../src/base/file.ts'
import { rootPath, virtualPath } from '../../../src/base/virtual-path.ts'
import { openDatabase } from '../../../src/database/open-database.ts'
import { copyData } from '../../../src/sftp/copy-data.ts'
import { openEventLog } from '../../../src/events/open-event-log.ts'
import { createActiveUploads } from '../../../src/files/active-uploads.ts'
import { openPartJournal, sweepAllParts } from '../../../src/files/part-journal.ts'
import { createMemoryUsageLedger } from '../../../src/files/usage-ledger.ts'
import type { UserFiles } from '../../../src/files/user-files.ts'
import { silentLogger } from '../../../src/base/log.ts'
import { connectSlot } from '../../../src/slots/index.ts'
import { backends } from '../../../src/storage/index.ts'
import { openChannel, type Channel } from '../../../src/wire/client.ts'
import { filesOn, homeOn } from '../../helpers/user-files.ts'
import { createFailpoints } from './failpoints.ts'

const [folder = '', sessionCount = '200', turnCount = '1000', isDurable = 'false', failpoint = ''] =
  process.argv.slice(2)
const durable = isDurable === 'true'
/** Tells whoever started this. A listener that is held up lets the pipe fill, which is no reason to end. */
const say = (line: string): void => {
  try {
    writeSync(1, `${line}\n`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
  }
}
const failpoints = createFailpoints(failpoint)
const pem = (name: string): string => readFileSync(join(folder, name), 'utf8')

const link = keepConnected()
const opened = await openDatabase({ path: join(folder, 'state.db') })
const database = failpoints.inDatabase(opened)
const events = await openEventLog({
  ...{ database, journalFile: join(folder, 'events.journal'), settings: { durable } },
  notifiers: [
    {
      name: 'n',
      notifier: () => link.current(),
      onReady: (listener) => link.onReady(listener),
      wants: { files: ['upload', 'download', 'rename', 'delete', 'mkdir', 'rmdir', 'copy'] },
    },
  ],
})
const journal = openPartJournal(join(folder, 'uploads.journal'))
await sweepAllParts(journal, (root) => backends.local({ root }), { keep: false, log: silentLogger })
say(`settled ${events.recovered.committed} ${events.recovered.discarded} ${events.recovered.unknown}`)

const life = Date.now().toString(36)
const shared = {
  ...{ active: createActiveUploads(life), journal, ledger: createMemoryUsageLedger() },
  ...{ events: failpoints.inLog(events), policy: { uploadMode: 1 as const, durable } },
}
const acknowledged = openSync(join(folder, 'acknowledged'), 'a')
const freshIntent: OpenIntent = {
  ...{ read: false, write: true, append: false, create: true, truncate: true, exclusive: false },
  mode: 0o644,
}
const readIntent: OpenIntent = { ...freshIntent, read: true, write: false, create: false, truncate: false }

const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())
await Promise.all(Array.from({ length: Number(sessionCount) }, (_, session) => work(session)))
if (!stopping.signal.aborted) {
  // Nothing is killed: everything is told before the end.
  while (events.status().notifiers.some(({ waiting }) => waiting > 0))
    await new Promise((resolve) => setTimeout(resolve, 5))
}
await events.close()
journal.close()
await opened.close()
link.close()

async function work(session: number): Promise<void> {
  const username = `u${session % 20}`
  const realRoot = join(folder, 'data', username)
  mkdirSync(realRoot, { recursive: true })
  const backend = failpoints.inBackend(backends.local({ root: realRoot }))
  const files = filesOn(backend, {
    ...shared,
    home: { ...homeOn(backend, { realRoot }), at: rootPath },
    user: { username },
  })
  const done = async (key: string, operation: Promise<void>, began = now()): Promise<void> => {
    await operation
    failpoints.pass('before answering')
    writeSync(acknowledged, `${JSON.stringify([username, key, began, now()])}\n`)
    if (session === 0) say('done')
    failpoints.pass('after answering')
  }
  for (let turn = 0; turn < Number(turnCount) && !stopping.signal.aborted; turn += 1) {
    const name = `/${life}-${session}-${turn}`
    for (const [key, run] of operationsOf(files, name, (session + turn) % 6)) await done(key, run())
  }
  await backend.close()
}

/** What one session does in a turn, one after the other: what it is called in an event, and how it is done. */
function operationsOf(files: UserFiles, name: string, kind: number): [string, () => Promise<void>][] {
  const put = (path: string, size: number): [string, () => Promise<void>] => [
    `upload ${path}  ${size}`,
    () => upload(files, path, size),
  ]
  const path = virtualPath
  switch (kind) {
    case 0:
      // As many clients do: a name for the time being, then the real one.
      return [
        put(`${name}.part`, 1_000),
        [
          `rename ${name}.part ${name} 0`,
          async () => files.rename(path(`${name}.part`), path(name), { replace: false }),
        ],
      ]
    case 1:
      return [put(name, 1_000), put(name, 1_001)]
    case 2:
      return [put(name, 1_000), [`delete ${name}  1000`, async () => files.remove(path(name))]]
    case 3:
      return [
        [`mkdir ${name}  0`, async () => files.makeDirectory(path(name), 0o755)],
        put(`${name}/file`, 1_000),
        [
          `rename ${name} ${name}.d 0`,
          async () => files.rename(path(name), path(`${name}.d`), { replace: false }),
        ],
        [`download ${name}.d/file  1000`, () => download(files, `${name}.d/file`)],
      ]
    case 4:
      return [
        put(name, 1_000),
        [`copy ${name} ${name}.copy 1000`, () => copy(files, name, `${name}.copy`)],
        [`delete ${name}  1000`, async () => files.remove(path(name))],
      ]
    default:
      return [
        [`mkdir ${name}  0`, async () => files.makeDirectory(path(name), 0o755)],
        [`rmdir ${name}  0`, async () => files.removeDirectory(path(name))],
        put(name, 1_000),
      ]
  }
}

async function upload(files: UserFiles, path: string, size: number): Promise<void> {
  const file = await files.open(virtualPath(path), freshIntent)
  await file.write([Buffer.alloc(500, 0x61)], 0)
  await new Promise((resolve) => setImmediate(resolve))
  await file.write([Buffer.alloc(size - 500, 0x62)], 500)
  await file.close()
}

async function copy(files: UserFiles, path: string, target: string): Promise<void> {
  const from = await files.open(virtualPath(path), readIntent)
  const into = await files.open(virtualPath(target), freshIntent)
  await copyData({ from, into, fromPosition: 0, intoPosition: 0, length: undefined, givenUp: () => false })
  await from.close()
  await into.close()
}

async function download(files: UserFiles, path: string): Promise<void> {
  const file = await files.open(virtualPath(path), readIntent)
  const into = Buffer.alloc(4_096)
  for (let at = 0; ;) {
    const read = await file.read(into, at)
    if (read === 0) break
    at += read
  }
  await file.close()
}

function now(): number {
  return performance.timeOrigin + performance.now()
}

/** A connection to the notifier that is made again whenever it breaks, as the plugin host does. */
function keepConnected() {
  let channel: Channel | undefined
  let notifier: ReturnType<typeof failpoints.inNotifier> | undefined
  const closing = new AbortController()
  const listeners = new Set<() => void>()
  void connect()
  return {
    current: () => notifier,
    onReady(listener: () => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close() {
      closing.abort()
      void channel?.close()
    },
  }

  /** As the host of plugins does: one that was killed is not always heard of by its connection. */
  async function watch(open: Channel): Promise<void> {
    while (open.isOpen && !closing.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 250))
      await open.health({ timeoutMs: 5_000 }).catch(() => open.close())
    }
    await open.close()
  }

  async function connect(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        if (!existsSync(join(folder, 'n.sock'))) throw new Error('no socket')
        channel = await openChannel({
          address: { network: 'unix', path: join(folder, 'n.sock') },
          tls: {
            identity: {
              privateKeyPem: pem('host.key'),
              certificatePem: pem('host.crt'),
              certificateDer: Buffer.alloc(0),
            },
            pluginCertificate: new X509Certificate(pem('plugin.crt')).raw,
          },
        })
        notifier = failpoints.inNotifier(connectSlot('notifier', channel, { timeoutMs: 20_000 }))
        void channel.closed.then(() => {
          notifier = undefined
          return connect()
        })
        for (const listener of listeners) listener()
        void watch(channel)
        return
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }
}
