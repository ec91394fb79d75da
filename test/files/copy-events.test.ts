import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { FileAction } from '../../src/events/event.ts'
import { createMemoryUsageLedger } from '../../src/files/usage-ledger.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { noted } from '../helpers/noted-events.ts'
import { get, put, SftpPeer, u32, u64 } from '../helpers/sftp-peer.ts'
import { filesOn, homeOn } from '../helpers/user-files.ts'

const [READ, WRITE, CREATE, TRUNCATE] = [1, 2, 8, 16]
const fresh = WRITE | CREATE | TRUNCATE
const content = 'x'.repeat(300_000)
const told: readonly FileAction[] = [
  ...(['upload', 'download', 'first-upload', 'first-download', 'copy', 'rename'] as const),
]

/** A session with "/source" in it, of which events are noted from here on. */
async function setup(options: { wants?: readonly FileAction[]; user?: object; body?: string } = {}) {
  const backend = createMemoryBackend()
  const body = options.body ?? content
  await using before = await SftpPeer.greeted(filesOn(backend))
  await put(before, '/source', body)
  const events = noted([], options.wants ?? told)
  const files = filesOn(backend, {
    home: homeOn(backend, { realRoot: '/srv/ada' }),
    events: events.log,
    ledger: createMemoryUsageLedger(),
    policy: { checksum: true },
    ...(options.user === undefined ? {} : { user: options.user }),
  })
  const peer = await SftpPeer.greeted(files)
  const copy = (from: Buffer, at: number, length: number, to: Buffer, into: number): Promise<number> =>
    peer.status(200, 'copy-data', from, u64(at), u64(length), to, u64(into))
  const happened = (): string[] =>
    events.events.map(({ action, path, targetPath, status }) =>
      [action, path, ...(targetPath === undefined ? [] : [targetPath]), status].join(' '),
    )
  return {
    ...{ ...events, backend, peer, copy, happened, body },
    source: await peer.open('/source', READ),
    target: await peer.open('/target', fresh),
    close: async (...handles: Buffer[]) => {
      for (const handle of handles) expect(await peer.status(4, handle)).toBe(0)
    },
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  }
}

describe('a copy inside the server', () => {
  it('is told as a copy from one path to the other, and neither as upload nor as download', async () => {
    await using it = await setup()
    expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(0)
    await it.close(it.source, it.target)
    expect(it.happened()).toEqual(['copy /source /target 1'])
    expect(it.events[0]).toMatchObject({
      ...{ storagePath: '/srv/ada/source', storageTargetPath: '/srv/ada/target', protocol: 'SFTP' },
      ...{ size: content.length, openFlags: 0 },
      metadata: { sha256: createHash('sha256').update(content).digest('hex') },
    })
    // Only bytes that came from the person are a first upload.
    await put(it.peer, '/own', 'x')
    expect(it.happened().slice(1)).toEqual(['upload /own 1', 'first-upload /own 1'])
  })

  it.each([
    ['with the length of the source', content, content.length],
    ['of an empty file', '', 0],
  ])('%s is one too', async (_what, body, length) => {
    await using it = await setup({ body })
    expect(await it.copy(it.source, 0, length, it.target, 0)).toBe(0)
    await it.close(it.target, it.source)
    expect(it.happened()).toEqual(['copy /source /target 1'])
    expect(it.events[0]).toMatchObject({ size: body.length })
  })

  it('is told with the name that the target has in the end, over a file that was there', async () => {
    await using it = await setup()
    expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(0)
    expect(await it.peer.status(18, '/target', '/renamed')).toBe(0)
    await it.close(it.source, it.target)
    expect(it.only('copy')).toMatchObject([{ path: '/source', targetPath: '/renamed', status: 1 }])
    const [again, over] = [await it.peer.open('/source', READ), await it.peer.open('/renamed', fresh)]
    expect(await it.copy(again, 0, 0, over, 0)).toBe(0)
    await it.close(again, over)
    expect(it.only('copy')).toHaveLength(2)
  })

  it.each<[string, (it: Awaited<ReturnType<typeof setup>>) => Promise<unknown>]>([
    ['of a part', (it) => it.copy(it.source, 0, 10, it.target, 0)],
    ['from further on', (it) => it.copy(it.source, 10, 0, it.target, 0)],
    ['to further on', (it) => it.copy(it.source, 0, 0, it.target, 10)],
    [
      'behind what was written',
      async (it) => {
        await it.peer.status(6, it.target, u64(0), 'first')
        await it.copy(it.source, 0, 0, it.target, 0)
      },
    ],
    [
      'that is written over',
      async (it) => {
        await it.copy(it.source, 0, 0, it.target, 0)
        expect(await it.peer.status(6, it.target, u64(0), 'more')).toBe(0)
      },
    ],
    [
      'that is cut',
      async (it) => {
        await it.copy(it.source, 0, 0, it.target, 0)
        expect(await it.peer.status(10, it.target, u32(1), u64(5))).toBe(0)
      },
    ],
    [
      'that is copied into twice',
      async (it) => {
        await it.copy(it.source, 0, 0, it.target, 0)
        expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(0)
      },
    ],
  ])('%s stays an upload, and its source a download', async (_what, action) => {
    await using it = await setup()
    await action(it)
    await it.close(it.source, it.target)
    expect(it.happened().toSorted()).toEqual([
      ...['download /source 1', 'first-download /source 1'],
      ...['first-upload /target 1', 'upload /target 1'],
    ])
    expect(it.only('upload')[0]?.metadata).toEqual({
      sha256: createHash('sha256')
        .update(await get(it.peer, '/target'))
        .digest('hex'),
    })
  })

  it('that is written over when its source is closed already tells of the download then', async () => {
    await using it = await setup()
    expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(0)
    await it.close(it.source)
    expect(it.happened()).toEqual([])
    expect(await it.peer.status(6, it.target, u64(0), 'more')).toBe(0)
    expect(it.only('download')).toMatchObject([{ path: '/source', status: 1, size: content.length }])
    await it.close(it.target)
    expect(it.only('upload')).toMatchObject([{ path: '/target', status: 1 }])
    expect(it.only('copy')).toEqual([])
  })

  it('is a download as well for a source that was read', async () => {
    await using it = await setup()
    expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(0)
    expect((await it.peer.request(5, it.source, u64(0), u32(7))).type).toBe(103)
    await it.close(it.source, it.target)
    expect(it.only('download')).toMatchObject([{ size: 7 }])
    expect(it.only('copy')).toHaveLength(1)
  })

  it('keeps its attributes when they are set afterwards', async () => {
    await using it = await setup()
    expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(0)
    expect(await it.peer.status(10, it.target, u32(4), u32(0o600))).toBe(0)
    await it.close(it.source, it.target)
    expect(it.happened()).toEqual(['copy /source /target 1'])
  })

  it('over a limit is told with status 3, and one that was cut with status 2', async () => {
    const limited = { filters: { max_upload_file_size: 1_000 } }
    await using it = await setup({ user: limited })
    expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(4)
    expect(await it.peer.status(4, it.target)).toBe(4)
    await it.close(it.source)
    expect(it.happened()).toEqual(['copy /source /target 3'])
    expect(it.events[0]).toMatchObject({ size: content.length })
    const cut = await setup()
    expect(await cut.copy(cut.source, 0, 0, cut.target, 0)).toBe(0)
    await cut[Symbol.asyncDispose]()
    expect(cut.happened()).toEqual(['copy /source /target 2'])
  })

  it('is written down before its first byte, for a restart to find', async () => {
    await using it = await setup()
    expect(await it.copy(it.source, 0, 0, it.target, 0)).toBe(0)
    expect(it.steps).toEqual(['intend upload', 'intend copy', 'abandon upload'])
    expect(it.intents[1]).toMatchObject({
      event: { action: 'copy', path: '/source', targetPath: '/target', size: content.length, status: 2 },
      check: { of: 'publish', finalPath: '/srv/ada/target' },
    })
    expect(it.intents[1]?.check).toEqual(it.intents[0]?.check)
    await it.close(it.target)
    expect(it.steps.at(-1)).toBe('commit copy')
  })

  it('is told to who asks for copies alone, and not to who asks for uploads alone', async () => {
    await using copies = await setup({ wants: ['copy'] })
    await copies.copy(copies.source, 0, 0, copies.target, 0)
    await copies.close(copies.source, copies.target)
    expect(copies.steps).toEqual(['intend copy', 'commit copy'])
    expect(copies.events[0]?.metadata).toHaveProperty('sha256')
    await using uploads = await setup({ wants: ['upload'] })
    await uploads.copy(uploads.source, 0, 0, uploads.target, 0)
    await uploads.close(uploads.source, uploads.target)
    expect(uploads.steps).toEqual(['intend upload', 'abandon upload'])
  })
})
