import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { scaffoldFiles, writeScaffold } from '../../src/packages/scaffold/scaffold.ts'
import { programVersion } from '../../src/server/version.ts'
import { runCommand } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

it('starts the result once: what ends at its start is not packed, and its last words are shown', () => {
  using folder = temporaryDirectory()
  const files = scaffoldFiles({
    ...{ name: 'acme-auth', slot: 'auth', language: 'typescript' },
    ...{ version: programVersion(), dependency: 'file:..' },
  })
  const home = folder.file('acme-auth')
  writeScaffold(home, files)
  mkdirSync(folder.file('acme-auth/node_modules'))
  symlinkSync(resolve('.'), folder.file('acme-auth/node_modules/sftpgo-ts'))
  const source = folder.file('acme-auth/src/plugin.ts')
  const thrown = "if (process.pid > 0) throw new Error('no directory to ask')\n"
  writeFileSync(source, readFileSync(source, 'utf8').replace('await serve', `${thrown}await serve`))
  const archive = folder.file('acme-auth/dist/acme-auth-0.1.0-any.tgz')
  const failed = runCommand(['plugin', 'pack', home])
  expect(failed).toMatchObject({ status: 10, stderr: expect.stringContaining('no directory to ask') })
  expect(existsSync(archive)).toBe(false)
  expect(runCommand(['plugin', 'pack', home, '--no-start'])).toMatchObject({ status: 0 })
  expect(existsSync(archive)).toBe(true)
})
