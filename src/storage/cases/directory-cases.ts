import assert from 'node:assert/strict'
import { at, fails, get, missing, namesIn, put, type BackendCase } from './backend-case.ts'

/** What directories and listings promise. */
export const directoryCases: readonly BackendCase[] = [
  {
    sentence: 'makes and removes directories',
    async run(backend) {
      await backend.makeDirectory(at('/d'), 0o755)
      await backend.makeDirectory(at('/d/e'), 0o755)
      await fails(() => backend.removeDirectory(at('/d')), 'directory-not-empty')
      await backend.removeDirectory(at('/d/e'))
      await backend.removeDirectory(at('/d'))
      await missing(backend, '/d')
    },
  },
  {
    sentence: 'does not make a directory over something or under nothing',
    async run(backend) {
      await put(backend, '/a', 'x')
      await fails(() => backend.makeDirectory(at('/a'), 0o755), 'already-exists')
      await fails(() => backend.makeDirectory(at('/'), 0o755), 'already-exists')
      await fails(() => backend.makeDirectory(at('/b/c'), 0o755), 'not-found')
      await fails(() => backend.makeDirectory(at('/a/b'), 0o755), 'not-a-directory')
      assert.equal(await get(backend, '/a'), 'x')
    },
  },
  {
    sentence: 'syncs the names in a directory where there is a disk, and nothing else under that name',
    async run(backend) {
      await put(backend, '/a', 'x')
      await backend.makeDirectory(at('/d'), 0o755)
      await backend.syncDirectory?.(at('/'))
      await backend.syncDirectory?.(at('/d'))
      if (backend.syncDirectory === undefined) return
      await assert.rejects(backend.syncDirectory(at('/a')), { code: 'not-a-directory' })
      await assert.rejects(backend.syncDirectory(at('/missing')), { code: 'not-found' })
    },
  },
  {
    sentence: 'does not remove the root, a file as a directory, or a directory as a file',
    async run(backend) {
      await put(backend, '/a', '')
      await backend.makeDirectory(at('/d'), 0o755)
      await fails(() => backend.removeDirectory(at('/')), 'busy')
      await fails(() => backend.remove(at('/')), 'is-a-directory')
      await fails(() => backend.removeDirectory(at('/a')), 'not-a-directory')
      await fails(() => backend.remove(at('/d')), 'is-a-directory')
      await fails(() => backend.removeDirectory(at('/b')), 'not-found')
      await fails(() => backend.remove(at('/b')), 'not-found')
      assert.deepEqual(await namesIn(backend, '/'), ['a', 'd'])
    },
  },
  {
    sentence: 'lists every name once, without dots, in portions of any size',
    async run(backend) {
      const names = Array.from({ length: 250 }, (_, index) => `name-${String(index).padStart(4, '0')}`)
      await backend.makeDirectory(at('/d'), 0o755)
      for (const name of names) await put(backend, `/d/${name}`, '')
      for (const most of [1, 7, 100, 1000]) assert.deepEqual(await namesIn(backend, '/d', most), names)
    },
  },
  {
    sentence: 'lists an empty directory as empty',
    async run(backend) {
      assert.deepEqual(await namesIn(backend, '/'), [])
    },
  },
  {
    sentence: 'tells the attributes of each entry',
    async run(backend) {
      await put(backend, '/a', 'hello')
      await backend.makeDirectory(at('/d'), 0o700)
      const listing = await backend.list(at('/'))
      const entries = [...(await listing.next(10))].sort((one, two) => (one.name < two.name ? -1 : 1))
      await listing.close()
      assert.deepEqual(
        entries.map(({ name, attributes }) => [name, attributes.kind, attributes.mode]),
        [
          ['a', 'file', 0o600],
          ['d', 'directory', 0o700],
        ],
      )
      assert.equal(entries[0]?.attributes.size, 5)
      assert.deepEqual(entries[0]?.attributes, await backend.attributes(at('/a'), { follow: true }))
    },
  },
  {
    sentence: 'does not list a file or what is missing',
    async run(backend) {
      await put(backend, '/a', '')
      await fails(() => backend.list(at('/a')), 'not-a-directory')
      await fails(() => backend.list(at('/b')), 'not-found')
    },
  },
  {
    sentence: 'lists on while names come and go, each lasting name once',
    async run(backend) {
      const lasting = Array.from({ length: 120 }, (_, index) => `lasting-${index}`)
      for (const name of lasting) await put(backend, `/${name}`, '')
      for (let index = 0; index < 120; index += 1) await put(backend, `/going-${index}`, '')
      const listing = await backend.list(at('/'))
      const seen: string[] = []
      for (let round = 0; ; round += 1) {
        const entries = await listing.next(10)
        if (entries.length === 0) break
        seen.push(...entries.map((entry) => entry.name))
        if (round < 120) await backend.remove(at(`/going-${round}`))
        if (round < 120) await put(backend, `/coming-${round}`, '')
      }
      await listing.close()
      const counted = seen.filter((name) => name.startsWith('lasting-')).sort()
      assert.deepEqual(counted, [...lasting].sort())
    },
  },
  {
    sentence: 'lists on, or fails, when the directory itself goes away',
    async run(backend) {
      await backend.makeDirectory(at('/d'), 0o755)
      const listing = await backend.list(at('/d'))
      await backend.rename(at('/d'), at('/e'), { replace: false })
      assert.deepEqual(await listing.next(10), [])
      await listing.close()
      const other = await backend.list(at('/e'))
      await backend.removeDirectory(at('/e'))
      try {
        assert.deepEqual(await other.next(10), [])
      } catch (error) {
        assert.match(String(error), /FileError/)
      }
      await other.close()
    },
  },
]
