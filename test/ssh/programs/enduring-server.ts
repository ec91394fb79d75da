import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { UserFiles } from '../../../src/files/user-files.ts'
import { serveSession } from '../../../src/sftp/serve-session.ts'
import { createMemoryBackend } from '../../../src/storage/memory.ts'
import { filesOn } from '../../helpers/user-files.ts'
import type { Order, Report } from '../enduring.ts'
import { startTestServer } from '../test-server.ts'

/*
 * An SSH server with SFTP as a process of its own, so that its memory is nobody else's. What is written is counted
 * and thrown away; `stall` makes the storage stand still until `go`.
 */

const counted = { writtenBytes: 0, open: 0, interrupted: 0, longestLifeMs: 0 }
const gate = { opened: Promise.resolve(), open: () => {} }
const grace = Number(process.argv[2])
const keepalive = Number(process.argv[3])

const backend = createMemoryBackend()
const test = await startTestServer({
  loginGraceMs: grace,
  keepaliveMs: keepalive,
  // Who is idle for half an hour is what is measured here, not sent away.
  idleMs: 0,
  left: noteLife,
  serve: (stream) => serveSession(stream, swallowing(filesOn(backend, { policy: { uploadMode: 0 } }))),
})
// Who came is looked up often enough to miss nobody who stays for more than a moment.
const births = new Map<string, number>()
// Only where lives are short is that of interest; with a thousand sessions it would be most of what is measured.
if (grace < 10_000)
  setInterval(() => {
    for (const { id, since } of test.server.connections()) births.set(id, since)
  }, 50)

function noteLife(id: string): void {
  const born = births.get(id)
  births.delete(id)
  if (born !== undefined) counted.longestLifeMs = Math.max(counted.longestLifeMs, Date.now() - born)
}

const lag = monitorEventLoopDelay({ resolution: 5 })
lag.enable()

process.on('message', (order: Order) => {
  switch (order) {
    case 'stall':
      gate.opened = new Promise((resolve) => {
        gate.open = resolve
      })
      return process.send?.('done')
    case 'go':
      gate.open()
      return process.send?.('done')
    case 'report':
      return process.send?.(report())
    case 'stop':
      process.exit(0)
  }
})
process.on('disconnect', () => process.exit(0))
process.send?.(test.port)

function report(): Report {
  // Freed memory goes back to the system some time after the collection, so what counts is what is in use.
  globalThis.gc?.()
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  const connections = test.server.connections()
  const said = {
    ...counted,
    connections: connections.length,
    loggedIn: connections.filter(({ username }) => username !== undefined).length,
    errors: test.logged.filter(({ level }) => level === 'error').length,
    rssBytes: rss,
    usedBytes: heapUsed + arrayBuffers,
    cpuMs: (user + system) / 1000,
    lagP99Ms: lag.percentile(99) / 1e6,
  }
  lag.reset()
  test.logged.length = 0
  test.asked.length = 0
  test.events.length = 0
  return said
}

function swallowing(files: UserFiles): UserFiles {
  return {
    ...files,
    open: async (path, intent) => {
      const transfer = await files.open(path, intent)
      counted.open += 1
      return {
        read: (into, position) => transfer.read(into, position),
        write: async (chunks) => {
          await gate.opened
          for (const chunk of chunks) counted.writtenBytes += chunk.length
        },
        attributes: () => transfer.attributes(),
        change: (change) => transfer.change(change),
        sync: () => transfer.sync(),
        close: () => {
          counted.open -= 1
          return transfer.close()
        },
        interrupt: () => {
          counted.open -= 1
          counted.interrupted += 1
          return transfer.interrupt()
        },
      }
    },
  }
}
