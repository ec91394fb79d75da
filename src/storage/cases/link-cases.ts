import assert from 'node:assert/strict'
import type { Backend, BackendLinks } from '../backend.ts'
import { at, fails, get, intent, missing, namesIn, put, toRead, type BackendCase } from './backend-case.ts'

const follow = { follow: true }
const itself = { follow: false }

/** What links promise. They hold, empty of meaning, over a backend that has none. */
export const linkCases: readonly BackendCase[] = [
  withLinks('keeps the target of a link byte for byte', async (backend, links) => {
    for (const target of ['plain', '/abs/olute', '../../up', 'caf\xc3\xa9\xff', 'x'.repeat(1000)]) {
      await links.symbolic(target, at('/link'))
      assert.equal(await links.read(at('/link')), target)
      const { kind, size } = await backend.attributes(at('/link'), itself)
      assert.deepEqual([kind, size], ['link', target.length])
      await backend.remove(at('/link'))
    }
  }),
  withLinks(
    'follows links in every place: relative, absolute, chained, of directories',
    async (backend, links) => {
      await backend.makeDirectory(at('/d'), 0o755)
      await put(backend, '/d/a', 'hello')
      await links.symbolic('d', at('/to-d'))
      await links.symbolic('/d/a', at('/absolute'))
      await links.symbolic('a', at('/d/relative'))
      await links.symbolic('to-d/relative', at('/chained'))
      for (const path of ['/to-d/a', '/absolute', '/d/relative', '/to-d/relative', '/chained'])
        assert.equal(await get(backend, path), 'hello')
      assert.equal((await backend.attributes(at('/chained'), follow)).kind, 'file')
      assert.equal((await backend.attributes(at('/chained'), itself)).kind, 'link')
      assert.deepEqual(await namesIn(backend, '/to-d'), ['a', 'relative'])
    },
  ),
  withLinks('stops at its root on the way up, as a chroot does', async (backend, links) => {
    await put(backend, '/a', 'hello')
    await backend.makeDirectory(at('/d'), 0o755)
    await links.symbolic('../../../../../a', at('/d/up'))
    await links.symbolic('/..//../a', at('/d/absolute-up'))
    await links.symbolic('../..', at('/d/root'))
    assert.equal(await get(backend, '/d/up'), 'hello')
    assert.equal(await get(backend, '/d/absolute-up'), 'hello')
    assert.deepEqual(await namesIn(backend, '/d/root'), ['a', 'd'])
    assert.equal(await backend.resolve(at('/d/root/d/up')), '/a')
  }),
  withLinks('ends in a loop with too-many-links', async (backend, links) => {
    await links.symbolic('loop', at('/loop'))
    await links.symbolic('two', at('/one'))
    await links.symbolic('one', at('/two'))
    for (const path of ['/loop', '/one', '/loop/a']) {
      await fails(() => backend.attributes(at(path), follow), 'too-many-links')
      await fails(() => backend.open(at(path), intent()), 'too-many-links')
      await fails(() => backend.resolve(at(path)), 'too-many-links')
    }
    assert.equal((await backend.attributes(at('/loop'), itself)).kind, 'link')
  }),
  withLinks('tells a dangling link from what is missing', async (backend, links) => {
    await links.symbolic('nowhere', at('/dangling'))
    await fails(() => backend.attributes(at('/dangling'), follow), 'not-found')
    await fails(() => backend.open(at('/dangling'), toRead), 'not-found')
    assert.equal((await backend.attributes(at('/dangling'), itself)).kind, 'link')
    assert.deepEqual(await namesIn(backend, '/'), ['dangling'])
    await fails(() => backend.open(at('/dangling'), intent({ exclusive: true })), 'already-exists')
    await fails(() => backend.makeDirectory(at('/dangling'), 0o755), 'already-exists')
    await missing(backend, '/nowhere')
    await (await backend.open(at('/dangling'), intent())).close()
    assert.deepEqual(await namesIn(backend, '/'), ['dangling', 'nowhere'])
  }),
  withLinks('removes and renames the link, never its target', async (backend, links) => {
    await put(backend, '/a', 'hello')
    await backend.makeDirectory(at('/d'), 0o755)
    await links.symbolic('a', at('/link'))
    await links.symbolic('d', at('/to-d'))
    await backend.rename(at('/link'), at('/moved'), { replace: false })
    assert.equal(await links.read(at('/moved')), 'a')
    await backend.remove(at('/moved'))
    await fails(() => backend.removeDirectory(at('/to-d')), 'not-a-directory')
    await backend.remove(at('/to-d'))
    assert.deepEqual(await namesIn(backend, '/'), ['a', 'd'])
    await links.symbolic('a', at('/link'))
    await put(backend, '/b', 'other')
    await backend.rename(at('/b'), at('/link'), { replace: true })
    assert.equal(await get(backend, '/a'), 'hello')
    assert.equal(await get(backend, '/link'), 'other')
  }),
  withLinks('changes the target, or the link itself when told', async (backend, links) => {
    await put(backend, '/a', 'hello')
    await links.symbolic('a', at('/link'))
    await backend.change(at('/link'), { mode: 0o640, times: { accessTime: 5, modifyTime: 6 } }, follow)
    const target = await backend.attributes(at('/a'), follow)
    assert.deepEqual([target.mode, target.modifyTime], [0o640, 6])
    await backend.change(at('/link'), { times: { accessTime: 7, modifyTime: 8 } }, itself)
    assert.equal((await backend.attributes(at('/link'), itself)).modifyTime, 8)
    assert.equal((await backend.attributes(at('/a'), follow)).modifyTime, 6)
    await fails(() => backend.change(at('/link'), { mode: 0o600 }, itself), 'unsupported')
    await fails(() => backend.change(at('/link'), { size: 0 }, itself), 'not-a-regular-file')
    assert.equal(await get(backend, '/a'), 'hello')
  }),
  withLinks('changes a file itself when told not to follow', async (backend) => {
    await put(backend, '/a', 'hello')
    await backend.change(at('/a'), { mode: 0o640, times: { accessTime: 5, modifyTime: 6 } }, itself)
    const { mode, modifyTime } = await backend.attributes(at('/a'), itself)
    assert.deepEqual([mode, modifyTime], [0o640, 6])
  }),
  withLinks(
    'resolves every link on the way; the last name may be missing, none before',
    async (backend, links) => {
      await backend.makeDirectory(at('/d'), 0o755)
      await put(backend, '/d/a', '')
      await links.symbolic('d', at('/to-d'))
      await links.symbolic('/to-d/a', at('/chained'))
      assert.equal(await backend.resolve(at('/')), '/')
      assert.equal(await backend.resolve(at('/d/a')), '/d/a')
      assert.equal(await backend.resolve(at('/to-d')), '/d')
      assert.equal(await backend.resolve(at('/chained')), '/d/a')
      assert.equal(await backend.resolve(at('/to-d/missing')), '/d/missing')
      await fails(() => backend.resolve(at('/missing/b')), 'not-found')
      await fails(() => backend.resolve(at('/d/a/b')), 'not-a-directory')
    },
  ),
  withLinks('reads no link where there is none', async (backend, links) => {
    await put(backend, '/a', '')
    await fails(() => links.read(at('/a')), 'not-a-link')
    await fails(() => links.read(at('/')), 'not-a-link')
    await fails(() => links.read(at('/b')), 'not-found')
  }),
  withLinks('makes no link over something', async (backend, links) => {
    await put(backend, '/a', 'x')
    await put(backend, '/b', 'y')
    await fails(() => links.symbolic('b', at('/a')), 'already-exists')
    await fails(() => links.hard(at('/b'), at('/a')), 'already-exists')
    await fails(() => links.symbolic('b', at('/no/a')), 'not-found')
    assert.equal(await get(backend, '/a'), 'x')
  }),
  withLinks('gives a file a second name of equal rank', async (backend, links) => {
    await put(backend, '/a', 'hello')
    await links.hard(at('/a'), at('/b'))
    const [one, two] = [
      await backend.attributes(at('/a'), itself),
      await backend.attributes(at('/b'), itself),
    ]
    assert.deepEqual(one, two)
    assert.equal(one.links, 2)
    await backend.remove(at('/a'))
    assert.equal(await get(backend, '/b'), 'hello')
    await fails(() => links.hard(at('/'), at('/c')), 'permission-denied')
    await fails(() => links.hard(at('/a'), at('/c')), 'not-found')
  }),
]

function withLinks(
  sentence: string,
  run: (backend: Backend, links: BackendLinks) => Promise<void>,
): BackendCase {
  return {
    sentence,
    async run(backend) {
      if (backend.links !== undefined) await run(backend, backend.links)
    },
  }
}
