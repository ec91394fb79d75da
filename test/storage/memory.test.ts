import { describe, expect, it } from 'vitest'
import { backendCases } from '../../src/storage/backend-cases.ts'
import { at, get, intent, put } from '../../src/storage/cases/backend-case.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'

describe.each([
  ['at once', {}],
  ['later', { later: true }],
])('a memory backend that answers %s', (_, options) => {
  it.each(backendCases)('$sentence', async (one) => {
    await expect(one.run(createMemoryBackend(options))).resolves.toBeUndefined()
  })
})

describe('a memory backend', () => {
  it('is full when its bytes are used up, and has room again when a file goes', async () => {
    const backend = createMemoryBackend({ mostBytes: 100 })
    await put(backend, '/a', 'x'.repeat(90))
    await expect(put(backend, '/b', 'x'.repeat(20))).rejects.toMatchObject({ code: 'no-space' })
    await backend.remove(at('/a'))
    await put(backend, '/b', 'x'.repeat(100))
    expect(await get(backend, '/b')).toBe('x'.repeat(100))
  })

  it('stamps with the clock it was given', async () => {
    const backend = createMemoryBackend({ now: () => 5_000_999, owner: { uid: 7, gid: 8 } })
    await (await backend.open(at('/a'), intent())).close()
    expect(await backend.attributes(at('/a'), { follow: true })).toMatchObject({
      modifyTime: 5000,
      uid: 7,
      gid: 8,
    })
  })
})
