// What the local backend costs beside Node's own calls, and what encryption adds: npm run bench -- storage [--folder /dev/shm]
import { randomBytes } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createLimiter } from '../src/base/limiter.ts'
import type { Soon } from '../src/base/soon.ts'
import { virtualPath } from '../src/base/virtual-path.ts'
import type { Backend } from '../src/storage/backend.ts'
import { intent, toRead } from '../src/storage/cases/backend-case.ts'
import type { CallPace } from '../src/storage/call-pace.ts'
import type { Disks } from '../src/storage/disks.ts'
import { createEncryptedBackend } from '../src/storage/encrypted.ts'
import { openLocalBackend } from '../src/storage/local.ts'
import { chunkBytes, chunkOverhead } from '../src/storage/sealed-format.ts'
import { sftpBatch, withoutOpenSsh } from '../test/helpers/openssh.ts'
import { startServerProcess } from '../test/helpers/server-process.ts'
import { meterProcess } from './harness/cpu-meter.ts'

const { values } = parseArgs({ options: { folder: { type: 'string', default: tmpdir() } } })
const files = 10_000
const transferBytes = 256 * 2 ** 20
const home = fs.mkdtempSync(join(values.folder, 'sftpgo-ts-bench-'))
/** Calls stay inline, however busy the machine is. */
const pace: CallPace = { inline: true, took() {}, median: () => 0 }
const disk = { calls: pace, bytes: pace, limiter: createLimiter({ atOnce: 2, inLine: 1000 }) }
const disks: Disks = { diskOf: () => disk }
const names = Array.from({ length: files }, (_, index) => `file-with-a-name-${index}`)

try {
  fs.mkdirSync(join(home, 'sub'))
  for (const name of names)
    for (const at of [home, join(home, 'sub')]) fs.writeFileSync(join(at, name), 'x'.repeat(100))
  console.log(`Node ${process.version}, ${files} files below ${home}; microseconds for one`)
  nodeAlone()
  for (const portable of [false, true]) await namesOf(portable)
  await bytes()
  await encrypted()
  await randomReads()
  await throughTheServer()
} finally {
  fs.rmSync(home, { recursive: true, force: true })
}

function nodeAlone(): void {
  const path = join(home, names[0] ?? '')
  measure('node: lstatSync', files, () => {
    for (const name of names) fs.lstatSync(join(home, name))
  })
  measure('node: openSync and closeSync', files, () => {
    for (const name of names) fs.closeSync(fs.openSync(join(home, name), 'r'))
  })
  measure('node: readdirSync and lstatSync of each', files, () => {
    for (const name of fs.readdirSync(home)) fs.lstatSync(join(home, name))
  })
  fs.statSync(path)
}

async function namesOf(portable: boolean): Promise<void> {
  const backend = openLocalBackend({ root: home, portable, disks })
  const label = portable ? 'portable' : 'confined'
  const paths = names.map((name) => virtualPath(`/${name}`))
  const deep = names.map((name) => virtualPath(`/sub/${name}`))
  measure(`${label}: attributes, not followed`, files, () => {
    for (const path of paths) atOnce(backend.attributes(path, { follow: false }))
  })
  measure(`${label}: attributes, one directory down`, files, () => {
    for (const path of deep) atOnce(backend.attributes(path, { follow: true }))
  })
  measure(`${label}: missing`, files, () => {
    for (const path of paths) missing(backend, virtualPath(`${path}-no`))
  })
  measure(`${label}: open and close`, files, () => {
    for (const path of deep) atOnce(atOnce(backend.open(path, toRead)).close())
  })
  measure(`${label}: rename there and back`, files * 2, () => {
    for (const path of deep) {
      atOnce(backend.rename(path, virtualPath('/sub/elsewhere'), { replace: false }))
      atOnce(backend.rename(virtualPath('/sub/elsewhere'), path, { replace: true }))
    }
  })
  measure(`${label}: list with attributes, 100 at a time`, files, () => {
    const listing = atOnce(backend.list(virtualPath('/')))
    while (atOnce(listing.next(100)).length > 0);
    atOnce(listing.close())
  })
  await backend.close()
}

async function bytes(): Promise<void> {
  const backend = openLocalBackend({ root: home, disks })
  const file = await backend.open(virtualPath('/big'), intent())
  const block = Buffer.alloc(255 * 1024, 'x')
  const count = 1024
  measure('confined: write 255 KiB', count, () => {
    for (let index = 0; index < count; index += 1) atOnce(file.write([block], index * block.length))
  })
  const parts = Array.from({ length: 8 }, (_, index) => block.subarray(index * 32_640, (index + 1) * 32_640))
  measure('confined: write 255 KiB in 8 chunks', count, () => {
    for (let index = 0; index < count; index += 1) atOnce(file.write(parts, index * block.length))
  })
  measure('confined: read 255 KiB', count, () => {
    for (let index = 0; index < count; index += 1) atOnce(file.read(block, index * block.length))
  })
  measure('confined: read 4 KiB', 10_000, () => {
    for (let index = 0; index < 10_000; index += 1) atOnce(file.read(block.subarray(0, 4096), index * 4096))
  })
  await file.close()
  await backend.close()
}

/** Seconds for a gibibyte in requests of a client's size, plain and encrypted, and what each adds to a transfer. */
async function encrypted(): Promise<void> {
  const key = randomBytes(32)
  const plain = openLocalBackend({ root: home, disks })
  const backend = createEncryptedBackend({
    base: openLocalBackend({ root: home, disks }),
    keys: { userKey: () => key },
  })
  for (const [label, of] of [
    ['plain', plain],
    ['encrypted', backend],
  ] as const) {
    const block = Buffer.alloc(255 * 1024, 'x')
    const count = 1028 // a quarter of a gibibyte
    const file = await of.open(virtualPath(`/${label}`), intent({ truncate: true }))
    const up = await secondsFor(async () => {
      for (let index = 0; index < count; index += 1) await file.write([block], index * block.length)
    })
    await file.close()
    const reader = await of.open(virtualPath(`/${label}`), toRead)
    const down = await secondsFor(async () => {
      for (let index = 0; index < count; index += 1) await reader.read(block, index * block.length)
    })
    const random = await secondsFor(async () => {
      for (let index = 0; index < 2000; index += 1)
        await reader.read(block.subarray(0, 4096), ((index * 7919) % (count * 60)) * 4096)
    })
    await reader.close()
    console.log(
      `${label}: seconds of CPU per GiB, up ${(up * 4).toFixed(2)}, down ${(down * 4).toFixed(2)};`,
      `random 4 KiB ${((random / 2000) * 1e6).toFixed(1)} us`,
    )
  }
  await backend.close()
  await plain.close()
}

/** How many chunks a random read of 4 KiB takes from the disk, in an encrypted file of a gibibyte. */
async function randomReads(): Promise<void> {
  const key = randomBytes(32)
  const base = openLocalBackend({ root: home, disks })
  let taken = 0
  const backend = createEncryptedBackend({
    base: {
      ...base,
      async open(path, how) {
        const file = await base.open(path, how)
        const read: typeof file.read = (into, position) => {
          taken += into.length
          return file.read(into, position)
        }
        return { ...file, read }
      },
    },
    keys: { userKey: () => key },
  })
  const file = await backend.open(virtualPath('/gibibyte'), intent({ truncate: true }))
  await file.change({ size: 2 ** 30 })
  const into = Buffer.alloc(4096)
  let most = 0
  const times: number[] = []
  for (let index = 0; index < 5000; index += 1) {
    // Not in step with the chunks, so that some reads begin in one and end in the next.
    const position = Math.floor(Math.random() * (2 ** 30 - into.length))
    taken = 0
    const start = performance.now()
    await file.read(into, position)
    times.push(performance.now() - start)
    most = Math.max(most, taken / (chunkBytes + chunkOverhead))
  }
  await file.close()
  await backend.close()
  const median = times.sort((one, two) => one - two)[2500] ?? 0
  console.log(
    `encrypted: a random read of 4 KiB in 1 GiB takes ${Math.ceil(most)} chunks from the disk at most (goal 2),`,
    `${(median * 1000).toFixed(0)} us (median)`,
  )
}

/**
 * Encrypted uploads and downloads as a share of plain ones, by the processor time of a real server: the speed that one
 * core of its own gives. Rounds alternate, so that a busy machine spoils both alike.
 */
async function throughTheServer(): Promise<void> {
  const reason = withoutOpenSsh ?? (fs.existsSync('dist/main.js') ? undefined : 'a build')
  if (reason !== undefined) return console.log(`not measured through the server: ${reason} is missing`)
  const config = join(home, 'bench.config.json')
  fs.writeFileSync(config, JSON.stringify({ sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }] } }))
  fs.writeFileSync(join(home, 'passphrase'), 'open sesame')
  const password = 'Correct-Horse-9'
  const add = ['user', 'add', '--config', config]
  const program = resolve('dist/main.js')
  for (const more of [['plain'], ['encrypted', '--passphrase-file', join(home, 'passphrase')]])
    spawnSync(process.execPath, [program, ...add, ...more], { input: password })
  fs.writeFileSync(join(home, 'up'), randomBytes(transferBytes))
  await using server = await startServerProcess(config, { program })
  const cpu = meterProcess(server.process.pid ?? 0, 'storage')
  const seconds: Record<string, number[]> = {}
  for (let round = 0; round < 4; round += 1) {
    for (const username of ['plain', 'encrypted']) {
      for (const command of ['put up', 'get up down']) {
        const before = cpu.seconds().all
        const options = { port: server.port, username, password, batch: [command], cwd: home }
        const { status, output } = await sftpBatch(options)
        if (status !== 0) throw new Error(output)
        // The first round warms everything up.
        if (round > 0) (seconds[`${username} ${command}`] ??= []).push(cpu.seconds().all - before)
      }
    }
  }
  cpu.close()
  const best = (what: string): number => Math.min(...(seconds[what] ?? []))
  for (const [what, command] of [
    ['upload', 'put up'],
    ['download', 'get up down'],
  ] as const) {
    const [plain, sealed] = [best(`plain ${command}`), best(`encrypted ${command}`)]
    const perGiB = 2 ** 30 / transferBytes
    console.log(
      `server: ${what}, seconds of CPU per GiB: plain ${(plain * perGiB).toFixed(2)}, encrypted`,
      `${(sealed * perGiB).toFixed(2)}; encrypted runs at ${(plain / sealed).toFixed(2)} of plain (goal 0.6)`,
    )
  }
}

async function secondsFor(run: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function missing(backend: Backend, path: ReturnType<typeof virtualPath>): void {
  try {
    atOnce(backend.attributes(path, { follow: true }))
  } catch {
    return
  }
  throw new Error('It is there')
}

/** The median of five runs, divided by what each did. */
function measure(what: string, count: number, run: () => void): void {
  run()
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now()
    run()
    return performance.now() - start
  }).sort((one, two) => one - two)
  console.log(what.padEnd(46), (((times[2] ?? 0) * 1000) / count).toFixed(2))
}

function atOnce<T>(value: Soon<T>): T {
  if (value instanceof Promise) throw new Error('An inline call answered later')
  return value
}
