import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { programVersion } from '../../src/server/version.ts'
import { thisProgramAsDependency } from '../../src/cli/this-program.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

/** A folder in which npm has installed the program, as its hidden lock says. */
function installed(resolved: string | undefined) {
  const folder = temporaryDirectory()
  mkdirSync(folder.file('node_modules/sftpgo-ts'), { recursive: true })
  const packages = { 'node_modules/sftpgo-ts': { resolved } }
  if (resolved !== undefined)
    writeFileSync(folder.file('node_modules/.package-lock.json'), JSON.stringify({ packages }))
  const named = () =>
    thisProgramAsDependency(folder.file('new-plugin'), folder.file('node_modules/sftpgo-ts/'))
  return { folder, named, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

it('is asked for by its version where npm got it from a registry', () => {
  using it = installed('https://registry.example/sftpgo-ts/-/sftpgo-ts-0.1.0.tgz')
  expect(it.named()).toBe(`^${programVersion()}`)
})

it('is the archive that it was installed from, while that is there', () => {
  using it = installed('file:sftpgo-ts-0.1.0.tgz')
  expect(it.named()).toBe('file:../node_modules/sftpgo-ts')
  writeFileSync(it.folder.file('sftpgo-ts-0.1.0.tgz'), '')
  expect(it.named()).toBe('file:../sftpgo-ts-0.1.0.tgz')
})

it('is its own folder where nobody says where it came from, as with a global program', () => {
  using it = installed(undefined)
  expect(it.named()).toBe('file:../node_modules/sftpgo-ts')
})
