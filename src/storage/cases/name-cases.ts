import assert from 'node:assert/strict'
import { at, fails, get, intent, missing, namesIn, put, type BackendCase } from './backend-case.ts'

const keep = { replace: false }
const replace = { replace: true }

/** What names, removing and renaming promise. */
export const nameCases: readonly BackendCase[] = [
  {
    sentence: 'keeps every byte of a name and never takes two names for one',
    async run(backend) {
      // UTF-8, the same letters composed and decomposed, bytes that are no UTF-8, and odd but lawful ones.
      const names = ['caf\xc3\xa9', 'cafe\xcc\x81', 'a\xff\xfeb', 'a\xef\xbf\xbdb', ' lead', 'trail ', 'dot.']
      names.push('new\nline', '-dash', '\\back', '...', '\x01', '%2e%2e', '~', 'n'.repeat(255))
      for (const name of names) await put(backend, `/${name}`, name)
      assert.deepEqual(await namesIn(backend, '/'), [...names].sort())
      for (const name of names) assert.equal(await get(backend, `/${name}`), name)
      for (const name of names) await backend.remove(at(`/${name}`))
      assert.deepEqual(await namesIn(backend, '/'), [])
    },
  },
  {
    sentence: 'refuses a name of 256 bytes',
    async run(backend) {
      const path = at(`/${'n'.repeat(256)}`)
      await fails(() => backend.open(path, intent()), 'name-too-long')
      await fails(() => backend.makeDirectory(path, 0o755), 'name-too-long')
    },
  },
  {
    sentence: 'gives a file another name, in another directory too',
    async run(backend) {
      await put(backend, '/a', 'x')
      await backend.makeDirectory(at('/d'), 0o755)
      await backend.rename(at('/a'), at('/b'), keep)
      await backend.rename(at('/b'), at('/d/c'), replace)
      assert.deepEqual(await namesIn(backend, '/'), ['d'])
      assert.equal(await get(backend, '/d/c'), 'x')
    },
  },
  {
    sentence: 'leaves a taken name alone unless told to replace it',
    async run(backend) {
      await put(backend, '/a', 'new')
      await put(backend, '/b', 'old')
      await fails(() => backend.rename(at('/a'), at('/b'), keep), 'already-exists')
      assert.equal(await get(backend, '/a'), 'new')
      assert.equal(await get(backend, '/b'), 'old')
      await backend.rename(at('/a'), at('/b'), replace)
      assert.equal(await get(backend, '/b'), 'new')
      await missing(backend, '/a')
    },
  },
  {
    sentence: 'moves directories with all they hold, replaces an empty one, and no full one',
    async run(backend) {
      for (const path of ['/d', '/empty', '/full']) await backend.makeDirectory(at(path), 0o755)
      await put(backend, '/d/a', 'x')
      await put(backend, '/full/b', '')
      await fails(() => backend.rename(at('/d'), at('/empty'), keep), 'already-exists')
      await fails(
        () => backend.rename(at('/d'), at('/full'), replace),
        'directory-not-empty',
        'already-exists',
      )
      await backend.rename(at('/d'), at('/empty'), replace)
      assert.deepEqual(await namesIn(backend, '/'), ['empty', 'full'])
      assert.equal(await get(backend, '/empty/a'), 'x')
    },
  },
  {
    sentence: 'does not put a directory in the place of a file or a file in the place of a directory',
    async run(backend) {
      await put(backend, '/a', 'x')
      await backend.makeDirectory(at('/d'), 0o755)
      await fails(() => backend.rename(at('/a'), at('/d'), replace), 'is-a-directory')
      await fails(() => backend.rename(at('/d'), at('/a'), replace), 'not-a-directory')
      assert.deepEqual(await namesIn(backend, '/'), ['a', 'd'])
    },
  },
  {
    sentence: 'does not move a directory into itself',
    async run(backend) {
      await backend.makeDirectory(at('/d'), 0o755)
      await backend.makeDirectory(at('/d/e'), 0o755)
      await fails(() => backend.rename(at('/d'), at('/d/e/f'), keep), 'bad-message')
      await fails(() => backend.rename(at('/d'), at('/d/e/f'), replace), 'bad-message')
      assert.deepEqual(await namesIn(backend, '/d'), ['e'])
    },
  },
  {
    sentence: 'renames neither the root nor what is missing',
    async run(backend) {
      await put(backend, '/a', 'x')
      await fails(() => backend.rename(at('/'), at('/b'), keep), 'busy')
      await fails(() => backend.rename(at('/a'), at('/'), replace), 'busy')
      await fails(() => backend.rename(at('/no'), at('/b'), keep), 'not-found')
      await fails(() => backend.rename(at('/a'), at('/no/b'), keep), 'not-found')
      assert.equal(await get(backend, '/a'), 'x')
    },
  },
  {
    sentence: 'renames a name to itself as a replacement without loss',
    async run(backend) {
      await put(backend, '/a', 'x')
      await backend.rename(at('/a'), at('/a'), replace)
      assert.equal(await get(backend, '/a'), 'x')
      await fails(() => backend.rename(at('/a'), at('/a'), keep), 'already-exists')
      assert.equal(await get(backend, '/a'), 'x')
    },
  },
]
