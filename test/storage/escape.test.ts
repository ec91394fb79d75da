import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileError } from '../../src/base/errors.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { confinement } from '../../src/native/open-directory.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { intent, toRead } from '../../src/storage/cases/backend-case.ts'
import { openLocalBackend } from '../../src/storage/local.ts'

/** Milliseconds under attack for each way; `npm run soak` takes minutes. */
const attackMs = Number(process.env['SFTPGO_TS_ATTACK_MS'] ?? 1500)
const kernel = confinement()
const names = [
  '/flip/secret',
  '/deep/flip/secret',
  '/file',
  '/deep/down/low/up/secret',
  '/flip/new',
  '/deep/flip/link',
]

describe('an attacker who flips links inside a home (S-36)', () => {
  it('catches whoever opens by a plain path, so this test can fail', async () => {
    await using scene = await underAttack()
    const path = join(scene.home, 'flip/secret')
    const caught = await attempts(async () => readFileSync(path, 'latin1') === 'SECRET')
    expect(caught.escapes).toBeGreaterThan(0)
  })

  it.skipIf(!kernel.works)(
    'gets nobody out by any operation, with the kernel holding the jail',
    async () => {
      await using scene = await underAttack()
      await endures(openLocalBackend({ root: scene.home }), scene)
    },
    attackMs + 20_000,
  )

  it(
    'gets nobody out by any operation, on the portable way',
    async () => {
      await using scene = await underAttack()
      await endures(openLocalBackend({ root: scene.home, portable: true }), scene)
    },
    attackMs + 20_000,
  )
})

interface Scene extends AsyncDisposable {
  readonly home: string
  readonly outside: string
}

/** A home, a place outside with secrets, and an attacker at work. */
async function underAttack(): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'escape-'))
  const [home, outside] = [join(folder, 'home'), join(folder, 'outside')]
  for (const name of ['flip', 'sub', 'deep/flip', 'deep/down/low'])
    mkdirSync(join(home, name), { recursive: true })
  symlinkSync('../../../../outside', join(home, 'deep/down/low/up'))
  mkdirSync(join(outside, 'outside-only'), { recursive: true })
  writeFileSync(join(outside, 'secret'), 'SECRET', { mode: 0o644 })
  symlinkSync('SECRET-TARGET', join(outside, 'link'))
  const attacker = spawn(
    process.execPath,
    [join(import.meta.dirname, '../fixtures/link-flipper/flip.mjs'), home, outside],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  await once(attacker.stdout, 'data')
  return {
    home,
    outside,
    async [Symbol.asyncDispose]() {
      const gone = once(attacker, 'exit')
      attacker.stdin.end()
      await gone
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Every operation, over and over, with the attacker at work; nothing outside is seen or touched. */
async function endures(backend: Backend, scene: Scene): Promise<void> {
  const before = photograph(scene.outside)
  const outsideInodes = new Set(before.map((line) => line.inode))
  let turn = 0
  const result = await attempts(async () => {
    const operation = operations[turn++ % operations.length]
    const path = virtualPath(names[turn % names.length] ?? '/')
    return operation === undefined ? false : operation(backend, path, outsideInodes)
  })
  await backend.close()
  expect(result.escapes).toBe(0)
  expect(result.successes).toBeGreaterThan(100)
  expect(result.failures).toBeGreaterThan(100)
  expect(photograph(scene.outside)).toEqual(before)
  if (attackMs > 10_000) console.log('attempts', result)
}

/** Each does one thing and says whether it saw something from outside. Changes from outside show in the photograph. */
const operations: readonly ((
  backend: Backend,
  path: ReturnType<typeof virtualPath>,
  outside: ReadonlySet<number>,
) => Promise<boolean>)[] = [
  async (backend, path, outside) => {
    const file = await backend.open(path, toRead)
    const into = Buffer.alloc(16)
    const length = await file.read(into, 0)
    const { inode } = await file.attributes()
    await file.close()
    return into.toString('latin1', 0, length) === 'SECRET' || outside.has(inode)
  },
  async (backend, path) => {
    const file = await backend.open(path, intent({ truncate: true }))
    await file.write([Buffer.from('written')], 0)
    await file.change({ mode: 0o600 })
    await file.close()
    return false
  },
  async (backend, path) => {
    await (await backend.open(path, intent({ append: true, exclusive: true }))).close()
    return false
  },
  async (backend, path, outside) => outside.has((await backend.attributes(path, { follow: true })).inode),
  async (backend, path, outside) => outside.has((await backend.attributes(path, { follow: false })).inode),
  async (backend, path) => {
    await backend.change(
      path,
      { size: 1, mode: 0o777, times: { accessTime: 1, modifyTime: 1 } },
      { follow: true },
    )
    return false
  },
  async (backend, path) => {
    await backend.change(path, { mode: 0o777, times: { accessTime: 1, modifyTime: 1 } }, { follow: false })
    return false
  },
  async (backend, path) => {
    const listing = await backend.list(virtualPath(path.slice(0, path.lastIndexOf('/'))))
    const entries = await listing.next(100)
    await listing.close()
    return entries.some((entry) => entry.name === 'outside-only')
  },
  async (backend, path) => {
    await backend.makeDirectory(virtualPath(`${path}-folder`), 0o755)
    return false
  },
  async (backend, path) => {
    await backend.removeDirectory(virtualPath(`${path}-folder`))
    return false
  },
  async (backend, path) => {
    await backend.rename(path, virtualPath('/sub/moved'), { replace: true })
    return false
  },
  async (backend, path) => {
    await backend.rename(virtualPath('/sub/moved'), path, { replace: false })
    return false
  },
  async (backend, path) => {
    await backend.remove(path)
    return false
  },
  async (backend, path) => {
    await backend.links?.symbolic('nowhere', virtualPath(`${path}-link`))
    return false
  },
  async (backend) => {
    await backend.remove(virtualPath('/sub/hard'))
    return false
  },
  async (backend, path, outside) => {
    await backend.links?.hard(path, virtualPath('/sub/hard'))
    return outside.has((await backend.attributes(virtualPath('/sub/hard'), { follow: false })).inode)
  },
  async (backend, path) => {
    await backend.links?.hard(virtualPath('/sub/hard'), path)
    return false
  },
  async (backend, path) => (await backend.links?.read(path)) === 'SECRET-TARGET',
  async (backend, path) => (await backend.resolve(path)).includes('SECRET'),
]

interface Tally {
  escapes: number
  successes: number
  failures: number
}

/** Tries for as long as the attack lasts; what fails with a `FileError` or one of Node's is a failure. */
async function attempts(action: () => Promise<boolean>): Promise<Tally> {
  const tally: Tally = { escapes: 0, successes: 0, failures: 0 }
  const end = performance.now() + attackMs
  while (performance.now() < end) {
    try {
      if (await action()) tally.escapes += 1
      tally.successes += 1
    } catch (error) {
      if (!(error instanceof FileError) && !(error instanceof Error && 'errno' in error)) throw error
      tally.failures += 1
    }
  }
  return tally
}

/** Everything that can be seen of a folder. Access times are left out: looking is what is being tested. */
function photograph(
  folder: string,
): readonly { readonly name: string; readonly inode: number; readonly text: string }[] {
  return ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })].sort().map((name) => {
    const path = join(folder, name)
    const { ino, mode, size, mtimeMs, uid, nlink, atimeMs } = lstatSync(path)
    const content =
      name === 'secret' ? readFileSync(path, 'latin1') : name === 'link' ? readlinkSync(path) : ''
    // A set access time would be 1970.
    const text = [mode, size, mtimeMs, uid, nlink, atimeMs < 1e12, content].join(' ')
    return { name, inode: ino, text }
  })
}
