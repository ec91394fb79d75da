import { randomBytes } from 'node:crypto'
import type { SFTPWrapper } from 'ssh2'
import { expect, it } from 'vitest'
import { chunkBytes } from '../../src/storage/sealed-format.ts'
import { startWorkers } from '../helpers/workers-rig.ts'
import { randomFrom } from '../helpers/random-from.ts'

const rounds = 3
/** One run of chunks is written at a time, and as many may wait in memory. */
const mostLost = 8

it(
  'a server that is killed amid random writes, appends and cuts loses the chunks being written and no other',
  { timeout: 60_000 },
  async () => {
    const passphrase = { status: 'Plain', payload: 'open sesame' }
    const filesystem = { provider: 4, cryptconfig: { passphrase } }
    await using rig = await startWorkers(
      { sftpd: { workers: 1 }, common: { upload_mode: 0 } },
      { ada: { filesystem } },
    )
    const random = randomFrom(8)
    for (let round = 0; round < rounds; round += 1) {
      const file = `/file-${round}`
      const before = randomBytes(12 * chunkBytes + random(chunkBytes))
      const client = await rig.connect('ada')
      await client.put(file, before)
      const versions = await changeUntilKilled(client.sftp, file, {
        ...{ before, random, gone: client.closed },
        changes: 5 + random(40),
        kill: () => rig.server.process.kill('SIGKILL'),
      })
      await rig.server.ended
      await rig.start()
      const { sftp: after, client: reader } = await rig.connect('ada')
      const size = await sizeOf(after, file)
      const touched = new Set(
        versions.flatMap((version, index) => changedSince(versions[index - 1], version)),
      )
      let lost = 0
      for (let index = 0; index * chunkBytes < size; index += 1) {
        const length = Math.min(chunkBytes, size - index * chunkBytes)
        const read = await readAt(after, file, { position: index * chunkBytes, length })
        if (read === undefined) lost += 1
        const known = versions.some((version) => {
          const chunk = version.subarray(index * chunkBytes, (index + 1) * chunkBytes)
          return read !== undefined && chunk.subarray(0, read.length).equals(read)
        })
        const what = `round ${round}, chunk ${index} of a file of ${size}`
        if (touched.has(index)) expect(known || read === undefined, what).toBe(true)
        else
          expect(read?.equals(before.subarray(index * chunkBytes, index * chunkBytes + length)), what).toBe(
            true,
          )
      }
      expect(lost).toBeLessThanOrEqual(mostLost)
      const shortest = Math.min(...versions.map(({ length }) => length))
      expect(size).toBeGreaterThanOrEqual(Math.floor(shortest / chunkBytes) * chunkBytes)
      // And it is a file like any other: it takes what comes next.
      const handle = await opened(after, file, 'r+')
      await written(after, handle, { bytes: Buffer.from('goes on'), position: size })
      await closed(after, handle)
      expect(await sizeOf(after, file)).toBe(size + 7)
      reader.end()
    }
  },
)

interface Changes {
  readonly before: Buffer
  readonly random: (below: number) => number
  readonly changes: number
  readonly kill: () => void
  /** The connection is closed. */
  readonly gone: Promise<void>
}

/** Changes the file, a few requests under way at a time, and kills the server after the last; every version there was. */
async function changeUntilKilled(
  sftp: SFTPWrapper,
  file: string,
  { before, random, changes, kill, gone }: Changes,
): Promise<readonly Buffer[]> {
  const versions = [before]
  const handle = await opened(sftp, file, 'r+')
  const underWay: Promise<void>[] = []
  for (let made = 0; made < changes; made += 1) {
    const latest = versions.at(-1) ?? before
    const kind = random(10)
    if (kind === 0) {
      const size = Math.max(2 * chunkBytes, latest.length - random(2 * chunkBytes))
      versions.push(Buffer.from(latest.subarray(0, size)))
      underWay.push(cut(sftp, handle, size))
    } else {
      const bytes = randomBytes(1 + random(30_000))
      const position = kind < 4 ? latest.length : random(latest.length)
      const next = Buffer.alloc(Math.max(latest.length, position + bytes.length))
      latest.copy(next)
      bytes.copy(next, position)
      versions.push(next)
      underWay.push(written(sftp, handle, { bytes, position }))
    }
    if (underWay.length >= 4) await underWay.shift()
  }
  kill()
  // A connection that is gone answers nothing more.
  await Promise.race([Promise.allSettled(underWay), gone])
  return versions
}

/** The chunks in which two versions differ. */
function changedSince(old: Buffer | undefined, now: Buffer): number[] {
  if (old === undefined) return []
  const chunks = Math.ceil(Math.max(old.length, now.length) / chunkBytes)
  return Array.from({ length: chunks }, (_, index) => index).filter((index) => {
    const [from, to] = [index * chunkBytes, (index + 1) * chunkBytes]
    return !old.subarray(from, to).equals(now.subarray(from, to))
  })
}

function opened(sftp: SFTPWrapper, file: string, flags: 'r' | 'r+'): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sftp.open(file, flags, (error, handle) => (error === undefined ? resolve(handle) : reject(error)))
  })
}

function written(
  sftp: SFTPWrapper,
  handle: Buffer,
  { bytes, position }: { readonly bytes: Buffer; readonly position: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    sftp.write(handle, bytes, 0, bytes.length, position, (error) =>
      error === undefined || error === null ? resolve() : reject(error),
    )
  })
}

function cut(sftp: SFTPWrapper, handle: Buffer, size: number): Promise<void> {
  return new Promise((resolve, reject) => {
    sftp.fsetstat(handle, { size }, (error) =>
      error === undefined || error === null ? resolve() : reject(error),
    )
  })
}

function closed(sftp: SFTPWrapper, handle: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    sftp.close(handle, (error) => (error === undefined || error === null ? resolve() : reject(error)))
  })
}

function sizeOf(sftp: SFTPWrapper, file: string): Promise<number> {
  return new Promise((resolve, reject) => {
    sftp.stat(file, (error, stats) => (error === undefined ? resolve(stats.size) : reject(error)))
  })
}

/** The bytes there, or undefined when the server gives an error. */
async function readAt(
  sftp: SFTPWrapper,
  file: string,
  { position, length }: { readonly position: number; readonly length: number },
): Promise<Buffer | undefined> {
  const handle = await opened(sftp, file, 'r')
  const into = Buffer.alloc(length)
  const read = await new Promise<Buffer | undefined>((resolve) => {
    sftp.read(handle, into, 0, length, position, (error, count) =>
      resolve(error === undefined || error === null ? into.subarray(0, count) : undefined),
    )
  })
  await closed(sftp, handle)
  return read
}
