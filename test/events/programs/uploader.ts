// A server without SSH: many uploads at once, each with intent, effect and commit, told to a real notifier.
// Says "done SESSION N BEGAN ACKED" when an upload's client would have heard OK, and "settled ..." after the start.
// Arguments: folder (with the notifier's socket and keys), sessions, uploads per session.
import { X509Certificate } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { virtualPath } from '../../../src/base/virtual-path.ts'
import { openDatabase } from '../../../src/database/open-database.ts'
import { openEventLog } from '../../../src/events/open-event-log.ts'
import { slots } from '../../../src/slots/index.ts'
import type { Notifier } from '../../../src/slots/notifier/contract.ts'
import { openChannel, type Channel } from '../../../src/wire/client.ts'

const [folder = '', sessionCount = '200', uploadCount = '1000', crashAt = ''] = process.argv.slice(2)
const say = (line: string): void => void writeSync(1, `${line}\n`)
const data = join(folder, 'data')
mkdirSync(data, { recursive: true })

/** Where the process ends by itself, as if killed: `step:occurrence`. */
const [crashStep, crashCount = '1'] = crashAt.split(':')
let passed = 0
const failpoint = (step: string): void => {
  if (step !== crashStep) return
  passed += 1
  if (passed === Number(crashCount)) process.kill(process.pid, 'SIGKILL')
}

const pem = (name: string): string => readFileSync(join(folder, name), 'utf8')
const link = keepConnected()
const database = await openDatabase({ path: join(folder, 'state.db') })
const log = await openEventLog({
  database,
  notifiers: [
    {
      name: 'n',
      notifier: () => link.current(),
      onReady: (listener) => link.onReady(listener),
      wants: { files: ['upload'] },
    },
  ],
})
// What was cut, and what had not even an intent yet.
for (const name of readdirSync(data)) if (name.startsWith('.part-')) rmSync(join(data, name))
say(`settled ${log.recovered.committed} ${log.recovered.discarded} ${log.recovered.unknown}`)

const life = Date.now()
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())
await Promise.all(Array.from({ length: Number(sessionCount) }, (_, session) => upload(session)))
if (!stopping.signal.aborted) {
  // Nothing is killed: everything is told before the end.
  const owed = database.query('select 1 as one from delivery limit 1')
  while (owed.get() !== undefined) await new Promise((resolve) => setTimeout(resolve, 5))
}
await log.close()
await database.close()
link.close()

async function upload(session: number): Promise<void> {
  const username = `u${session % 20}`
  for (let n = 0; n < Number(uploadCount) && !stopping.signal.aborted; n += 1) {
    const name = `${life}-${session}-${n}`
    const began = performance.timeOrigin + performance.now()
    const event = {
      ...({
        kind: 'file',
        action: 'upload',
        status: 1,
        filesystemProvider: 0,
        openFlags: 0,
        elapsedMs: 1,
      } as const),
      ...{ username, role: '', size: 1000, protocol: 'SFTP', address: '::1', sessionId: `SFTP_${session}_1` },
      path: virtualPath(`/${name}`),
      storagePath: join(data, name),
    }
    const partPath = join(data, `.part-${name}`)
    failpoint('before-open')
    const file = openSync(partPath, 'wx')
    failpoint('before-intent')
    const intent = await log.intend({
      event,
      check: { of: 'publish', partPath, finalPath: join(data, name), inode: fstatSync(file).ino },
    })
    failpoint('after-intent')
    writeSync(file, Buffer.alloc(500, 0x61))
    await new Promise((resolve) => setImmediate(resolve))
    failpoint('half-written')
    writeSync(file, Buffer.alloc(500, 0x62))
    closeSync(file)
    failpoint('before-rename')
    renameSync(partPath, join(data, name))
    failpoint('after-rename')
    const committed = intent.commit(event)
    failpoint('commit-begun')
    await committed
    failpoint('after-commit')
    say(`done ${username} ${name} ${began} ${performance.timeOrigin + performance.now()}`)
    failpoint('after-answer')
  }
}

/** A connection to the notifier that is made again whenever it breaks, as the plugin host does. */
function keepConnected() {
  let channel: Channel | undefined
  let notifier: Notifier | undefined
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
        const api = slots.notifier.connect(channel.caller(slots.notifier.service, { timeoutMs: 2_000 }))
        notifier = {
          async notifyFile(notice, call) {
            failpoint('before-call')
            const refusal = await api.notifyFile(notice, call)
            failpoint('after-call')
            return refusal
          },
        }
        void channel.closed.then(() => {
          notifier = undefined
          return connect()
        })
        for (const listener of listeners) listener()
        return
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }
}
