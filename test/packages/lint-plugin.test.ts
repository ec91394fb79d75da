import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { lintPlugin } from '../../src/packages/lint-plugin.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const manifest = {
  ...{ name: 'acme', version: '1.0.0', slot: 'auth', description: 'It decides', entry: 'acme.mjs' },
  ...{ engines: { 'sftpgo-ts': '>=0.1.0' }, source: 'src/plugin.ts', settings: 'settings.schema.json' },
  permissions: { environment: ['LDAP_URL'], network: [], files: [] },
}

async function messages(changes: {
  readonly manifest?: object
  readonly settings?: object
  readonly source?: string
}): Promise<readonly string[]> {
  using folder = temporaryDirectory()
  mkdirSync(folder.file('src'))
  writeFileSync(folder.file('plugin.json'), JSON.stringify({ ...manifest, ...changes.manifest }))
  writeFileSync(
    folder.file('settings.schema.json'),
    JSON.stringify({ type: 'object', properties: changes.settings ?? {} }),
  )
  writeFileSync(folder.file('src/plugin.ts'), changes.source ?? "import 'node:fs'\nimport 'net'\n")
  return (await lintPlugin(folder.path)).map(({ severity, message }) => `${severity}: ${message}`)
}

it('finds nothing wrong with a plugin that is in order', async () => {
  const secret = { type: 'string', 'x-secret': true, description: 'What binds.' }
  const source = "console.log(process.env.LDAP_URL, process.env['SFTPGO_TS_PLUGIN_SETTINGS'])"
  expect(await messages({ settings: { bindPassword: secret }, source })).toEqual([])
})

it('finds a secret that is not marked, and one that stands in the schema', async () => {
  const found = await messages({
    settings: {
      apiKey: { type: 'string', description: 'A key.' },
      token: { type: 'string', description: 'A token.', 'x-secret': true, default: 'abc' },
    },
  })
  expect(found).toEqual([
    'error: "apiKey" looks like a secret: mark it with "x-secret": true, and only references are taken',
    'error: "token" is a secret that stands in the schema itself: take its default or example out',
  ])
})

it('finds variables that nobody will set, code that does not compile, and a manifest that is none', async () => {
  expect(await messages({ source: 'console.log(process.env.HOME_OF_USERS)' })).toEqual([
    expect.stringContaining('error: It reads the variable HOME_OF_USERS'),
  ])
  expect(await messages({ source: 'const = 1' })).toEqual([expect.stringContaining('Expected identifier')])
  expect(await messages({ source: "import 'no-such-package'" })).toEqual([
    expect.stringContaining('Could not resolve "no-such-package"'),
  ])
  expect(await messages({ manifest: { slot: 'storage' } })).toEqual([
    expect.stringContaining('There is no slot "storage"'),
  ])
})
