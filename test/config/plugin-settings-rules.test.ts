import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { effectiveSettings } from '../../src/config/effective-settings.ts'
import { type LoadedConfig, checkConfig } from '../../src/config/load-config.ts'
import { formatPlace, formatProblem } from '../../src/config/problems.ts'
import { changeLock, withLocked } from '../../src/packages/lock.ts'
import { createPackageStore } from '../../src/packages/store.ts'
import { shippedSchemaOf } from '../../src/server/shipped-schemas.ts'
import { packagePlacesOf } from '../../src/server/state-layout.ts'
import { makePackage } from '../packages/make-package.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: {
    url: { type: 'string' },
    retries: { type: 'integer', default: 3 },
    hosts: { type: 'array', items: { type: 'string' } },
    token: { type: 'string', 'x-secret': true },
  },
}

describe('the settings of a configured plugin', () => {
  it('are held against the schema in its folder, each mistake with its place', () => {
    using folder = temporaryDirectory()
    pluginFolder(folder.path)
    const { config, problems } = read(
      folder.path,
      `{ "plugins": [{
  "type": "ipfilter", "cmd": "acme", "sha256sum": "${'0'.repeat(64)}",
  "settings": {
    "retrys": 5,
    "hosts": ["a", 7],
    "token": "a literal",
    "retries": "many"
  } }] }`,
    )
    expect(lines(problems)).toEqual([
      '3:15 plugins[0].settings.url: is missing',
      '4:5 plugins[0].settings.retrys: is no setting of this plugin; did you mean "retries"?',
      '5:20 plugins[0].settings.hosts[1]: must be string',
      expect.stringContaining('6:14 plugins[0].settings.token: is a secret: give {"env": NAME}'),
      '7:16 plugins[0].settings.retries: must be integer',
    ])
    // Other commands than "serve" still work with it.
    expect(config).toBeDefined()
  })

  it('say which of them the schema filled in, and hide what is secret', () => {
    using folder = temporaryDirectory()
    pluginFolder(folder.path)
    const { config, problems } = read(
      folder.path,
      `{ "plugins": [{ "type": "ipfilter", "cmd": "acme", "sha256sum": "${'0'.repeat(64)}",
  "settings": { "url": "u", "token": { "env": "TOKEN" } } }] }`,
    )
    expect(problems).toEqual([])
    if (config === undefined) throw new Error('No configuration')
    const shown = effectiveSettings(config, shippedSchemaOf).filter(({ path }) => path.includes('.settings'))
    expect(shown).toEqual([
      { path: 'plugins[0].settings.url', value: 'u', from: expect.stringMatching(/one\.json:2:24$/) },
      {
        path: 'plugins[0].settings.token',
        value: { env: 'TOKEN' },
        from: expect.stringMatching(/one\.json:2:38$/),
      },
      { path: 'plugins[0].settings.retries', value: 3, from: 'default of the plugin' },
    ])
  })

  it('are held against the schema of the installed package that "source" names', async () => {
    using folder = temporaryDirectory()
    await install(folder.path)
    const text = `{ "plugins": [{ "type": "ipfilter", "source": "acme-auth", "settings": { "retrys": 1 } }] }`
    expect(lines(read(folder.path, text).problems)).toEqual([
      '1:72 plugins[0].settings.url: is missing',
      '1:74 plugins[0].settings.retrys: is no setting of this plugin; did you mean "retries"?',
    ])
  })

  it('are not looked at where nothing is installed or the entry is switched off', () => {
    using folder = temporaryDirectory()
    pluginFolder(folder.path)
    const absent = `{ "plugins": [{ "type": "ipfilter", "source": "acme-auth", "settings": { "retrys": 1 } }] }`
    expect(read(folder.path, absent).problems).toEqual([])
    const off = absent.replace('"source": "acme-auth"', '"cmd": "acme", "enabled": false')
    expect(read(folder.path, off).problems).toEqual([])
  })
})

function read(folder: string, text: string): LoadedConfig {
  return checkConfig({ file: join(folder, 'one.json'), text, pluginSchemaOf: shippedSchemaOf })
}

function lines(problems: LoadedConfig['problems']): string[] {
  return problems.map((problem) => {
    const place = formatPlace(problem.place)
    return `${/(\d+:\d+)$/.exec(place)?.[1]} ${formatProblem(problem).slice(place.length + 2)}`
  })
}

function pluginFolder(folder: string): void {
  mkdirSync(join(folder, 'acme'))
  const manifest = { name: 'acme', version: '1.0.0', slot: 'auth', entry: 'p', settings: 'schema.json' }
  writeFileSync(join(folder, 'acme/plugin.json'), JSON.stringify({ ...manifest, files: [] }))
  writeFileSync(join(folder, 'acme/schema.json'), JSON.stringify(schema))
}

async function install(folder: string): Promise<void> {
  const { packages, packageLock } = packagePlacesOf(join(folder, 'one.json'), join(folder, 'one.state'))
  mkdirSync(packages, { recursive: true })
  const stored = await createPackageStore(packages).add(
    await makePackage(folder, { schema, slot: 'ipfilter' }),
  )
  const { archiveSha256, manifestSha256 } = stored
  const platforms = { any: { archiveSha256, manifestSha256 } }
  const entry = { version: '1.0.0', slot: 'ipfilter', protocol: 1, from: 'file', platforms }
  await changeLock(packageLock, (lock) => withLocked(lock, 'acme-auth', entry))
}
