import assert from 'node:assert/strict'
import { at, fails, get, intent, put, toRead, type BackendCase } from './backend-case.ts'

const follow = { follow: true }

/** What attributes and their changes promise. */
export const attributeCases: readonly BackendCase[] = [
  {
    sentence: 'tells kind, size and mode of files and directories',
    async run(backend) {
      await put(backend, '/a', 'hello')
      await backend.makeDirectory(at('/d'), 0o700)
      const file = await backend.attributes(at('/a'), follow)
      assert.deepEqual([file.kind, file.size, file.mode, file.links], ['file', 5, 0o600, 1])
      const directory = await backend.attributes(at('/d'), follow)
      assert.deepEqual([directory.kind, directory.mode], ['directory', 0o700])
      assert.equal((await backend.attributes(at('/'), follow)).kind, 'directory')
      assert.equal((await backend.attributes(at('/'), { follow: false })).kind, 'directory')
    },
  },
  {
    sentence: 'does not know what is missing or lies behind a file',
    async run(backend) {
      await put(backend, '/a', '')
      await fails(() => backend.attributes(at('/b'), follow), 'not-found')
      await fails(() => backend.attributes(at('/b/c'), follow), 'not-found')
      await fails(() => backend.attributes(at('/a/b'), follow), 'not-a-directory')
      await fails(() => backend.change(at('/b'), { mode: 0o600 }, follow), 'not-found')
    },
  },
  {
    sentence: 'finds a name itself, and nothing where there is none',
    async run(backend) {
      await put(backend, '/a', 'hello')
      await backend.makeDirectory(at('/d'), 0o700)
      await put(backend, '/d/b', '')
      assert.equal((await backend.find(at('/')))?.kind, 'directory')
      assert.equal((await backend.find(at('/a')))?.size, 5)
      assert.equal((await backend.find(at('/d/b')))?.kind, 'file')
      await backend.links?.symbolic('a', at('/link'))
      if (backend.links !== undefined) assert.equal((await backend.find(at('/link')))?.kind, 'link')
      for (const path of ['/b', '/d/c', '/x/y']) assert.equal(await backend.find(at(path)), undefined)
      await fails(() => backend.find(at('/a/b')), 'not-a-directory')
    },
  },
  {
    sentence: 'changes mode, times and size by name and by open file',
    async run(backend) {
      await put(backend, '/a', 'hello')
      const times = { accessTime: 1_000_000_001, modifyTime: 1_000_000_002 }
      await backend.change(at('/a'), { size: 4, mode: 0o640, times }, follow)
      const byName = await backend.attributes(at('/a'), follow)
      assert.deepEqual(
        [byName.size, byName.mode, byName.accessTime, byName.modifyTime],
        [4, 0o640, 1e9 + 1, 1e9 + 2],
      )
      const file = await backend.open(at('/a'), intent())
      await file.change({ size: 2, mode: 0o600, times: { accessTime: 7, modifyTime: 8 } })
      const byFile = await file.attributes()
      assert.deepEqual([byFile.size, byFile.mode, byFile.accessTime, byFile.modifyTime], [2, 0o600, 7, 8])
      await file.close()
      assert.equal(await get(backend, '/a'), 'he')
    },
  },
  {
    sentence: 'takes times beyond 2038 and sets those of directories',
    async run(backend) {
      await backend.makeDirectory(at('/d'), 0o700)
      const times = { accessTime: 4_294_967_295, modifyTime: 2_147_483_648 }
      await backend.change(at('/d'), { times }, follow)
      const { accessTime, modifyTime } = await backend.attributes(at('/d'), follow)
      assert.deepEqual({ accessTime, modifyTime }, times)
    },
  },
  {
    sentence: 'leaves everything as it is for an empty change',
    async run(backend) {
      await put(backend, '/a', 'hello')
      const before = await backend.attributes(at('/a'), follow)
      await backend.change(at('/a'), {}, follow)
      assert.deepEqual(await backend.attributes(at('/a'), follow), before)
    },
  },
  {
    sentence: 'tries every change although an earlier one failed, and fails in the end',
    async run(backend) {
      await backend.makeDirectory(at('/d'), 0o700)
      await fails(() => backend.change(at('/d'), { size: 3, mode: 0o750 }, follow), 'is-a-directory')
      assert.equal((await backend.attributes(at('/d'), follow)).mode, 0o750)
    },
  },
  {
    sentence: 'does not change the size through a file opened to read',
    async run(backend) {
      await put(backend, '/a', 'hello')
      const file = await backend.open(at('/a'), toRead)
      await fails(() => file.change({ size: 0 }), 'bad-message', 'bad-handle', 'permission-denied')
      await file.close()
      assert.equal(await get(backend, '/a'), 'hello')
    },
  },
  {
    sentence: 'gives one file one identity under every handle and name, and two files two',
    async run(backend) {
      await put(backend, '/a', '')
      await put(backend, '/b', '')
      const file = await backend.open(at('/a'), toRead)
      const byFile = await file.attributes()
      await file.close()
      const [a, b] = [await backend.attributes(at('/a'), follow), await backend.attributes(at('/b'), follow)]
      assert.deepEqual([byFile.device, byFile.inode], [a.device, a.inode])
      if (a.inode !== 0) assert.notEqual(a.inode, b.inode)
    },
  },
  {
    sentence: 'tells how full it is, where it knows',
    async run(backend) {
      if (backend.space === undefined) return
      const space = await backend.space(at('/'))
      assert.ok(space.blocks > 0 && space.freeBlocks <= space.blocks && space.fragmentSize > 0)
      assert.ok(space.maxNameBytes >= 143)
      await fails(() => backend.space?.(at('/missing')) ?? assert.fail(), 'not-found')
    },
  },
]
