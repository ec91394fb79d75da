import { createHash, randomFillSync } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clients } from './clients/index.ts'
import { rcloneSyncAndCheck, rcloneDriver } from './clients/rclone.ts'
import { startScenarioServer, type ScenarioServer } from './clients/scenario-server.ts'
import { clientsTable, type ClientRow } from './clients/table.ts'

const bigBytes = 300 * 1024 * 1024
const versions = new Map(
  await Promise.all(clients.map(async (client) => [client.name, await client.version()] as const)),
)
const rows: ClientRow[] = []
let servers: { readonly modern: ScenarioServer; readonly legacy: ScenarioServer }
let scratch: string
let small: string
let big: string

beforeAll(async () => {
  servers = { modern: await startScenarioServer('modern'), legacy: await startScenarioServer('legacy') }
  scratch = servers.modern.scratch
  small = makeFile(join(scratch, 'small'), 70_000)
  big = makeFile(join(scratch, 'big'), bigBytes)
}, 120_000)

afterAll(async () => {
  for (const server of Object.values(servers)) await server[Symbol.asyncDispose]()
  if (process.env['WRITE_CLIENTS_TABLE'] === '1') await writeTable()
})

describe.each(clients)('$name', (client) => {
  const version = versions.get(client.name)
  const missing = version === undefined ? ` (skipped: ${client.needs} is not installed)` : ''
  const profile = client.profile === undefined ? '' : `, profile ${client.profile}`
  const row: ClientRow = { name: client.name, version: `${version ?? ''}${profile}`, steps: {} }
  if (version !== undefined) rows.push(row)

  /** A step that the client's manual offers; others are marked as not offered. */
  function step(name: string, offered: boolean, body: () => Promise<void>): void {
    if (!offered) {
      row.steps[name] = 'not offered'
      return
    }
    it.skipIf(version === undefined)(`${name}${missing}`, { timeout: 120_000 }, async () => {
      row.steps[name] = 'failed'
      await body()
      row.steps[name] = 'works'
    })
  }
  const { put, get, list, renameOver, remove, resumePut, resumeGet, abortPut } = client
  const server = (): ScenarioServer => servers[client.profile ?? 'modern']
  const remote = (name: string): string => `${server().root}${name}`
  const onDisk = (name: string): string => join(server().home, name)
  /** A file system client (sshfs) closes a moment after its program did; the name stands when it has. */
  const stands = (name: string): Promise<void> =>
    expect.poll(() => readdirSync(server().home), { timeout: 40_000 }).toContain(name)

  step('puts and gets a file', put !== undefined && get !== undefined, async () => {
    await put?.(server().address, { local: small, remote: remote('file') })
    await stands('file')
    expect(readFileSync(onDisk('file')).equals(readFileSync(small))).toBe(true)
    const back = join(scratch, 'back')
    await get?.(server().address, { local: back, remote: remote('file') })
    expect(readFileSync(back).equals(readFileSync(small))).toBe(true)
    rmSync(back)
  })

  step('puts an empty file', put !== undefined, async () => {
    const empty = makeFile(join(scratch, 'empty'), 0)
    await put?.(server().address, { local: empty, remote: remote('empty') })
    await stands('empty')
    expect(statSync(onDisk('empty')).size).toBe(0)
  })

  step('lists names in UTF-8', list !== undefined, async () => {
    mkdirSync(onDisk('names'), { recursive: true })
    const names = ['Grüße', '日本語.txt', 'with space', 'ünï'].sort()
    for (const name of names) writeFileSync(join(onDisk('names'), name), '')
    expect([...((await list?.(server().address, remote('names'))) ?? [])].sort()).toEqual(names)
  })

  step('puts a name in UTF-8', put !== undefined, async () => {
    await put?.(server().address, { local: small, remote: remote('Grüße 日本.bin') })
    await stands('Grüße 日本.bin')
    rmSync(onDisk('Grüße 日本.bin'))
  })

  step('lists 10,000 entries', list !== undefined, async () => {
    const folder = onDisk('many')
    if (!existsSync(folder)) {
      mkdirSync(folder)
      for (let i = 0; i < 10_000; i += 1) closeSync(openSync(join(folder, `entry-${i}`), 'w'))
    }
    expect(new Set(await list?.(server().address, remote('many'))).size).toBe(10_000)
  })

  step('renames over an existing file', renameOver !== undefined, async () => {
    writeFileSync(onDisk('new'), 'new')
    writeFileSync(onDisk('old'), 'old')
    await renameOver?.(server().address, remote('new'), remote('old'))
    expect(readFileSync(onDisk('old'), 'utf8')).toBe('new')
    expect(existsSync(onDisk('new'))).toBe(false)
  })

  step('deletes a file', remove !== undefined, async () => {
    writeFileSync(onDisk('unwanted'), '')
    await remove?.(server().address, remote('unwanted'))
    expect(existsSync(onDisk('unwanted'))).toBe(false)
  })

  step('resumes an upload', resumePut !== undefined, async () => {
    writeFileSync(onDisk('resumed'), readFileSync(small).subarray(0, 40_000))
    await resumePut?.(server().address, { local: small, remote: remote('resumed') })
    expect(readFileSync(onDisk('resumed')).equals(readFileSync(small))).toBe(true)
    rmSync(onDisk('resumed'))
  })

  step('resumes a download', resumeGet !== undefined, async () => {
    writeFileSync(onDisk('source'), readFileSync(small))
    const part = join(scratch, 'part')
    writeFileSync(part, readFileSync(small).subarray(0, 40_000))
    await resumeGet?.(server().address, { local: part, remote: remote('source') })
    expect(readFileSync(part).equals(readFileSync(small))).toBe(true)
  })

  step('moves 300 MB both ways with equal hashes', put !== undefined && get !== undefined, async () => {
    await put?.(server().address, { local: big, remote: remote('big') })
    await stands('big')
    expect(await digest(onDisk('big'))).toBe(await digest(big))
    const back = join(scratch, 'big-back')
    await get?.(server().address, { local: back, remote: remote('big') })
    expect(await digest(back)).toBe(await digest(big))
    rmSync(back)
    rmSync(onDisk('big'))
  })

  step(
    'dies halfway through an upload, and comes back',
    abortPut !== undefined && put !== undefined,
    async () => {
      writeFileSync(onDisk('kept'), 'the old content')
      const arrived = whenBytesLieIn(server().home, 4 * 1024 * 1024)
      await abortPut?.(server().address, { local: big, remote: remote('kept'), halfway: arrived })
      await expect.poll(() => partsIn(server().home), { timeout: 10_000 }).toEqual([])
      if (process.env['INTEROP_AGAINST'] === undefined) {
        expect(readFileSync(onDisk('kept')).subarray(0, 100).toString('latin1')).toBe('the old content')
      }
      await put?.(server().address, { local: small, remote: remote('kept') })
      expect(readFileSync(onDisk('kept')).equals(readFileSync(small))).toBe(true)
      rmSync(onDisk('kept'))
    },
  )
})

describe('rclone on a folder', () => {
  const missing = versions.get(rcloneDriver.name) === undefined
  it.skipIf(missing)(
    `syncs and finds both sides equal${missing ? ' (skipped: rclone is not installed)' : ''}`,
    async () => {
      const folder = join(scratch, 'tree')
      mkdirSync(join(folder, 'deep/er'), { recursive: true })
      for (const name of ['a', 'deep/b', 'deep/er/c']) makeFile(join(folder, name), 5000)
      await rcloneSyncAndCheck(servers.modern.address, folder, `${servers.modern.root}tree`)
      expect(readdirSync(join(servers.modern.home, 'tree/deep')).sort()).toEqual(['b', 'er'])
      rmSync(join(folder, 'a'))
      truncateSync(join(folder, 'deep/b'), 100)
      await rcloneSyncAndCheck(servers.modern.address, folder, `${servers.modern.root}tree`)
      expect(existsSync(join(servers.modern.home, 'tree/a'))).toBe(false)
      expect(statSync(join(servers.modern.home, 'tree/deep/b')).size).toBe(100)
    },
  )
})

/** In the form that the format check wants. */
async function writeTable(): Promise<void> {
  const { format, resolveConfig } = await import('prettier')
  const file = 'docs/clients.md'
  writeFileSync(file, await format(clientsTable(rows), { ...(await resolveConfig(file)), filepath: file }))
}

function makeFile(path: string, size: number): string {
  const fd = openSync(path, 'w')
  const chunk = Buffer.alloc(1024 * 1024)
  for (let written = 0; written < size; written += chunk.length) {
    randomFillSync(chunk)
    writeSync(fd, chunk, 0, Math.min(chunk.length, size - written))
  }
  closeSync(fd)
  return path
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Hidden files of uploads that are under way. */
function partsIn(home: string): string[] {
  return readdirSync(home).filter((name) => name.startsWith('.sftpgo-upload.'))
}

/** Resolves when some file of `home` that is being written has grown to `bytes`. */
async function whenBytesLieIn(home: string, bytes: number): Promise<void> {
  const until = Date.now() + 60_000
  while (Date.now() < until) {
    const sizes = readdirSync(home).map(
      (name) => statSync(join(home, name), { throwIfNoEntry: false })?.size ?? 0,
    )
    if (Math.max(0, ...sizes) >= bytes) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('the upload never got that far')
}
