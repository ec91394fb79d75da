import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'
import { temporaryDirectory } from '../../test/helpers/temporary-directory.ts'
import { findPythonWithGrpc } from '../../test/interop/plugins/toolchain.ts'

const found = findPythonWithGrpc()
const needed = 'missing' in found ? ` (skipped: ${found.missing})` : needsOpenSsh

it.skipIf(needed !== '')(
  `auth-python, written in Python, lets in the users of its settings${needed}`,
  async () => {
    using work = temporaryDirectory()
    const folder = work.file('auth-python')
    cpSync(import.meta.dirname, folder, { recursive: true })
    // The Python of this machine that has grpcio, in the place of /usr/bin/python3.
    const interpreter = 'python' in found ? found.python : ''
    const manifest: unknown = JSON.parse(readFileSync(resolve(folder, 'plugin.json'), 'utf8'))
    writeFileSync(resolve(folder, 'plugin.json'), JSON.stringify({ ...Object(manifest), interpreter }))
    const sha256 = createHash('sha256').update(readFileSync(interpreter)).digest('hex')
    await using example = await startExample('auth-python', (file) => ({
      folder,
      settings: { users: { ada: hashed('engine') }, home: file('homes') },
      entry: { interpreter_sha256: sha256 },
    }))
    expect(await example.sftp('ada', 'engine', 'mkdir made', 'ls')).toMatchObject({
      status: 0,
      output: expect.stringContaining('made'),
    })
    for (const [username, password] of [
      ['ada', 'difference'],
      ['nobody', 'engine'],
    ] as const) {
      const { status, output } = await example.sftp(username, password, 'ls')
      expect(status).not.toBe(0)
      const reference = /reference (\w+)/.exec(output)?.[1] ?? ''
      expect(example.command('why', reference).stdout).toContain('wrong name or password')
    }
  },
  60_000,
)

function hashed(password: string): string {
  const program = resolve(import.meta.dirname, '../auth-file/hash-password.mjs')
  return spawnSync(process.execPath, [program], { input: password, encoding: 'utf8' }).stdout.trim()
}
