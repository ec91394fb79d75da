import { describe, expect, it } from 'vitest'
import { PluginError } from '../../src/base/errors.ts'
import { openTestPlugin } from '../../src/sdk-testing.ts'
import type { Call } from '../../src/slots/call.ts'
import { connectSlot } from '../../src/slots/index.ts'
import type { FileNotice } from '../../src/slots/notifier/contract.ts'

function noticeOf(id: string): FileNotice {
  return {
    ...{ timestamp: 1n, action: 'upload', username: 'ada', storagePath: `/srv/${id}`, storageTargetPath: '' },
    ...{ sshCommand: '', size: 1n, protocol: 'SFTP', status: 1, address: '192.0.2.1', path: `/${id}` },
    ...{ targetPath: '', sessionId: 's', filesystemProvider: 0, bucket: '', endpoint: '', openFlags: 0 },
    ...{ role: '', elapsedMs: 1n, metadata: { event_id: id } },
  }
}

const three = ['a', 'b', 'c'].map(noticeOf)

/** A plugin that notes when a notice begins and ends. */
async function openNoting(take: (notice: FileNotice, call?: Call) => Promise<void> | undefined) {
  const seen: string[] = []
  const plugin = await openTestPlugin('notifier', {
    async notifyFile(notice: FileNotice, call?: Call) {
      seen.push(`begin ${notice.path}`)
      await take(notice, call)
      seen.push(`end ${notice.path}`)
    },
  })
  return { ...plugin, seen, together: plugin.api.notifyFiles! }
}

describe('events told together', () => {
  it('are taken one after the other, each with its own id', async () => {
    const ids: (string | undefined)[] = []
    await using it = await openNoting(async (_notice, call) => {
      ids.push(call?.metadata?.['event-id'], call?.metadata?.['event-attempt'])
      await new Promise((resolve) => setTimeout(resolve, 5))
    })
    expect(await it.together(three)).toEqual({ taken: 3 })
    expect(it.seen).toEqual(['begin /a', 'end /a', 'begin /b', 'end /b', 'begin /c', 'end /c'])
    expect(ids).toEqual(['a', '1', 'b', '1', 'c', '1'])
  })

  it('end at the one that was not taken: nothing behind it is seen', async () => {
    await using it = await openNoting(async ({ path }) => {
      if (path === '/b') throw new PluginError('overloaded', 'not now')
    })
    const { taken, failure } = await it.together(three)
    expect(taken).toBe(1)
    expect(failure).toMatchObject({ code: 'overloaded', message: expect.stringContaining('not now') })
    expect(it.seen).toEqual(['begin /a', 'end /a', 'begin /b'])
  })

  it('end after a second, with what was taken by then', async () => {
    await using it = await openNoting(() => new Promise((resolve) => setTimeout(resolve, 600)))
    expect(await it.together(three)).toEqual({ taken: 2 })
  })

  it('end when nobody waits any more', async () => {
    const over = new AbortController()
    await using it = await openNoting(async () => {
      over.abort()
      await new Promise((resolve) => setTimeout(resolve, 100))
    })
    await expect(it.together(three, { signal: over.signal })).rejects.toMatchObject({ code: 'cancelled' })
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(it.seen).toEqual(['begin /a', 'end /a'])
  })

  it('are not asked of a plugin that did not say that it takes them', () => {
    const silent = { caller: () => ({}) as never, announced: () => undefined }
    const other = { ...silent, announced: () => 'in another way' }
    for (const channel of [silent, other])
      expect(connectSlot('notifier', channel, { timeoutMs: 1 })).not.toHaveProperty('notifyFiles')
  })

  it('are no more than there were, whatever a plugin counts', async () => {
    const liar = { caller: () => ({ take: async () => ({ count: 100, code: 0, text: '' }) }) as never }
    const channel = { ...liar, announced: () => 'in-order' }
    const { notifyFiles } = connectSlot('notifier', channel, { timeoutMs: 1 })
    expect(await notifyFiles!(three)).toEqual({ taken: 3 })
  })

  it('are not taken where the author takes no file events', async () => {
    await using plugin = await openTestPlugin('notifier', {})
    const { taken, failure } = await plugin.api.notifyFiles!(three)
    expect(taken).toBe(0)
    expect(failure).toMatchObject({ code: 'unimplemented' })
  })
})
