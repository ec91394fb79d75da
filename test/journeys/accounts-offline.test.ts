import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { runCommand, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

describe('accounts made while no server runs', () => {
  it('are told to notifiers by the next server, which makes no demo account beside them', async () => {
    using folder = temporaryDirectory()
    const config = await configIn(folder)
    const added = runCommand(['user', 'add', 'ada', '--config', config], {
      input: 'correct horse battery staple\n',
    })
    expect(added).toMatchObject({ status: 0 })
    await using server = await startServerProcess(config)
    expect(server.password).toBeUndefined()
    await until('the event is told', () => readFileSync(folder.file('heard'), 'utf8').includes('ada'))
    expect(await server.stop()).toBe(0)
  })

  it('do not exist after looking at them: the first start makes the demo account all the same', async () => {
    using folder = temporaryDirectory()
    const config = await configIn(folder)
    expect(runCommand(['user', 'list', '--config', config]).status).toBe(0)
    await using server = await startServerProcess(config)
    expect(server.password).toBeDefined()
    expect(await server.stop()).toBe(0)
  })
})

async function configIn(folder: ReturnType<typeof temporaryDirectory>): Promise<string> {
  const { cmd, sha256sum } = await fixturePlugin('recorder')
  const config = folder.file('one.config.json')
  writeFileSync(folder.file('heard'), '')
  mkdirSync(folder.file('keys'), { mode: 0o700 })
  writeFileSync(
    config,
    JSON.stringify({
      sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['keys/id_ed25519'] },
      plugins: [
        {
          ...{ name: 'recorder', type: 'notifier', cmd, sha256sum, args: [folder.path] },
          notifier_options: { provider_events: ['add'], provider_objects: ['user'] },
        },
      ],
    }),
  )
  return config
}
