import assert from 'node:assert/strict'
import { at, fails, get, intent, missing, put, toRead, type BackendCase } from './backend-case.ts'

/** What opening, reading and writing promise. */
export const fileCases: readonly BackendCase[] = [
  {
    sentence: 'reads back what was written',
    async run(backend) {
      await put(backend, '/a', 'hello')
      assert.equal(await get(backend, '/a'), 'hello')
    },
  },
  {
    sentence: 'does not open what is missing, nor through what is missing or no directory',
    async run(backend) {
      await put(backend, '/file', '')
      await fails(() => backend.open(at('/a'), toRead), 'not-found')
      await fails(() => backend.open(at('/a'), intent({ create: false })), 'not-found')
      await fails(() => backend.open(at('/no/a'), intent()), 'not-found')
      await fails(() => backend.open(at('/file/a'), intent()), 'not-a-directory')
      await missing(backend, '/a')
    },
  },
  {
    sentence: 'opens what is there without cutting it, and cuts it when asked',
    async run(backend) {
      await put(backend, '/a', 'hello')
      await (await backend.open(at('/a'), intent())).close()
      assert.equal(await get(backend, '/a'), 'hello')
      await (await backend.open(at('/a'), intent({ create: false, truncate: true }))).close()
      assert.equal(await get(backend, '/a'), '')
    },
  },
  {
    sentence: 'makes an exclusive file only where no name is',
    async run(backend) {
      await (await backend.open(at('/a'), intent({ exclusive: true }))).close()
      await fails(() => backend.open(at('/a'), intent({ exclusive: true })), 'already-exists')
    },
  },
  {
    sentence: 'refuses to open a directory as a file',
    async run(backend) {
      await backend.makeDirectory(at('/d'), 0o700)
      for (const path of ['/', '/d']) {
        await fails(() => backend.open(at(path), toRead), 'is-a-directory')
        await fails(() => backend.open(at(path), intent({ create: false })), 'is-a-directory')
        await fails(() => backend.open(at(path), intent()), 'is-a-directory')
      }
    },
  },
  {
    sentence: 'reads at any position, short at the end, nothing behind it',
    async run(backend) {
      await put(backend, '/a', '0123456789')
      const file = await backend.open(at('/a'), toRead)
      const into = Buffer.alloc(4)
      assert.equal(await file.read(into, 3), 4)
      assert.equal(into.toString(), '3456')
      assert.equal(await file.read(into, 8), 2)
      assert.equal(into.toString('latin1', 0, 2), '89')
      assert.equal(await file.read(into, 10), 0)
      assert.equal(await file.read(into, 2 ** 40), 0)
      assert.equal(await file.read(Buffer.alloc(0), 0), 0)
      await file.close()
    },
  },
  {
    sentence: 'writes out of order, over what is there, and leaves zeros in a gap',
    async run(backend) {
      const file = await backend.open(at('/a'), intent())
      await file.write([Buffer.from('de')], 6)
      await file.write([Buffer.from('ab')], 0)
      await file.write([Buffer.from('BC')], 1)
      await file.close()
      assert.equal(await get(backend, '/a'), 'aBC\0\0\0de')
    },
  },
  {
    sentence: 'writes several chunks one after the other, empty ones too',
    async run(backend) {
      const file = await backend.open(at('/a'), intent())
      await file.write([Buffer.from('one '), Buffer.alloc(0), Buffer.from('two '), Buffer.from('three')], 0)
      await file.write([], 4)
      await file.write([Buffer.alloc(0)], 100)
      assert.equal((await file.attributes()).size, 13)
      await file.close()
      assert.equal(await get(backend, '/a'), 'one two three')
    },
  },
  {
    sentence: 'keeps every byte of more chunks than a kernel takes at once',
    async run(backend) {
      const file = await backend.open(at('/a'), intent())
      await file.write(
        Array.from({ length: 3000 }, (_, index) => Buffer.from(String(index % 10))),
        0,
      )
      await file.close()
      const text = await get(backend, '/a')
      assert.equal(text.length, 3000)
      assert.equal(text, '0123456789'.repeat(300))
    },
  },
  {
    sentence: 'writes calls that overlap in time each at its own place',
    async run(backend) {
      const file = await backend.open(at('/a'), intent())
      const parts = Array.from({ length: 64 }, (_, index) => index)
      await Promise.all(
        parts.map(async (part) => file.write([Buffer.alloc(100, 0x41 + (part % 26))], part * 100)),
      )
      const text = Buffer.alloc(6400)
      await Promise.all(
        parts.map(async (part) => file.read(text.subarray(part * 100, part * 100 + 100), part * 100)),
      )
      await file.close()
      for (const part of parts) {
        const letter = String.fromCharCode(0x41 + (part % 26))
        assert.equal(text.toString('latin1', part * 100, part * 100 + 100), letter.repeat(100))
      }
    },
  },
  {
    sentence: 'appends at the end, whatever position is named',
    async run(backend) {
      await put(backend, '/a', 'start')
      const one = await backend.open(at('/a'), intent({ append: true }))
      const two = await backend.open(at('/a'), intent({ append: true }))
      await one.write([Buffer.from('-'), Buffer.from('1')], 0)
      await two.write([Buffer.from('-2')], 2)
      await one.write([Buffer.from('-3')], 1000)
      await one.close()
      await two.close()
      assert.equal(await get(backend, '/a'), 'start-1-2-3')
    },
  },
  {
    sentence: 'does not write through what was opened to read, nor read through what was opened to write',
    async run(backend) {
      await put(backend, '/a', 'hello')
      const reader = await backend.open(at('/a'), toRead)
      await fails(() => reader.write([Buffer.from('x')], 0), 'bad-handle')
      await reader.close()
      const writer = await backend.open(at('/a'), intent({ read: false }))
      await fails(() => writer.read(Buffer.alloc(1), 0), 'bad-handle')
      await writer.close()
      assert.equal(await get(backend, '/a'), 'hello')
    },
  },
  {
    sentence: 'changes the size of an open file, down and up',
    async run(backend) {
      await put(backend, '/a', 'hello world')
      const file = await backend.open(at('/a'), intent())
      await file.change({ size: 5 })
      assert.equal((await file.attributes()).size, 5)
      await file.change({ size: 8 })
      await file.write([Buffer.from('!')], 8)
      await file.close()
      assert.equal(await get(backend, '/a'), 'hello\0\0\0!')
    },
  },
  {
    sentence: 'keeps an open file usable when its name goes away or moves',
    async run(backend) {
      await put(backend, '/a', 'hello')
      const file = await backend.open(at('/a'), intent())
      await backend.rename(at('/a'), at('/b'), { replace: false })
      await file.write([Buffer.from('J')], 0)
      assert.equal(await get(backend, '/b'), 'Jello')
      await backend.remove(at('/b'))
      const into = Buffer.alloc(5)
      assert.equal(await file.read(into, 0), 5)
      assert.equal(into.toString(), 'Jello')
      assert.equal((await file.attributes()).size, 5)
      await file.close()
    },
  },
  {
    sentence: 'returns from sync with the bytes in place',
    async run(backend) {
      const file = await backend.open(at('/a'), intent())
      await file.write([Buffer.from('safe')], 0)
      await file.sync()
      assert.equal(await get(backend, '/a'), 'safe')
      await file.close()
    },
  },
  {
    sentence: 'refuses positions and sizes that no file can have, without changing anything',
    async run(backend) {
      const file = await backend.open(at('/a'), intent())
      await fails(
        () => file.write([Buffer.from('x')], Number.MAX_SAFE_INTEGER),
        ...(['too-large', 'no-space', 'bad-message'] as const),
      )
      assert.equal((await file.attributes()).size, 0)
      assert.equal(await file.read(Buffer.alloc(8), Number.MAX_SAFE_INTEGER - 8), 0)
      await file.close()
    },
  },
]
