import { readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { runCommand } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { makePackage } from '../packages/make-package.ts'

const schema = {
  type: 'object',
  properties: { greeting: { type: 'string', description: 'Said to everybody.' } },
}

it('the schema that init wrote knows the settings of whatever is installed, as long as it is', async () => {
  using folder = temporaryDirectory()
  const config = folder.file('sftpgo.config.json')
  const about = (...args: string[]) => runCommand([...args, '--config', config])
  expect(about('init', config).status).toBe(0)
  expect(readFileSync(config, 'utf8')).toContain('"$schema": "./sftpgo.schema.json"')
  const written = (): string => readFileSync(folder.file('sftpgo.schema.json'), 'utf8')
  expect(JSON.parse(written())).toMatchObject({ properties: { sftpd: { type: 'object' } } })
  const archive = await makePackage(folder.path, { schema })
  expect(about('plugin', 'install', archive)).toMatchObject({
    ...{ status: 0, stdout: expect.stringContaining('sftpgo.schema.json anew') },
  })
  expect(written()).toContain('Said to everybody.')
  expect(written()).toBe(about('config', 'schema').stdout)
  expect(about('plugin', 'remove', 'acme-auth').status).toBe(0)
  expect(written()).not.toContain('Said to everybody.')
})

it('a schema file that somebody else wrote is left alone', async () => {
  using folder = temporaryDirectory()
  const config = folder.file('sftpgo.config.json')
  const own = folder.file('sftpgo.schema.json')
  writeFileSync(own, '{}')
  expect(runCommand(['init', config]).status).toBe(0)
  expect(readFileSync(config, 'utf8')).not.toContain('./sftpgo.schema.json')
  writeFileSync(config, '{ "$schema": "./sftpgo.schema.json" }')
  const archive = await makePackage(folder.path, { schema })
  const installed = runCommand(['plugin', 'install', archive, '--config', config, '--json'])
  expect(JSON.parse(installed.stdout)).toMatchObject([{ name: 'acme-auth' }])
  expect(readFileSync(own, 'utf8')).toBe('{}')
})
