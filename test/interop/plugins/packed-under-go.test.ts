import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packPlugin } from '../../../src/packages/pack.ts'
import { scaffoldFiles, writeScaffold } from '../../../src/packages/scaffold/scaffold.ts'
import { programVersion } from '../../../src/server/version.ts'
import { runCommand } from '../../helpers/server-process.ts'
import { temporaryDirectory } from '../../helpers/temporary-directory.ts'
import { buildGoPrograms } from './toolchain.ts'

const built = buildGoPrograms()
const goFolder = 'folder' in built ? built.folder : ''
const reason = 'missing' in built ? ` (skipped: ${built.missing})` : ''
const settings = JSON.stringify({ users: { ada: 'engine' }, home: '/srv' })

describe.skipIf('missing' in built)(`a new plugin, packed as its author packs it${reason}`, () => {
  let folder: ReturnType<typeof temporaryDirectory>
  beforeAll(() => {
    folder = temporaryDirectory()
    const files = scaffoldFiles({
      ...{ name: 'acme-auth', slot: 'auth', language: 'typescript' },
      ...{ version: programVersion(), dependency: 'file:..' },
    })
    writeScaffold(folder.file('acme-auth'), files)
    mkdirSync(folder.file('acme-auth/node_modules'))
    symlinkSync(resolve('.'), folder.file('acme-auth/node_modules/sftpgo-ts'))
  })
  afterAll(() => folder[Symbol.dispose]())

  const pack = async (out: string, node?: string): Promise<string> => {
    const { bundle } = await packPlugin({
      ...{ folder: folder.file('acme-auth'), out: folder.file(out), tool: '0.1.0' },
      ...(node === undefined ? {} : { node }),
    })
    return bundle?.file ?? ''
  }

  it.each([
    ['that looks for node in the usual places', undefined],
    ['with the node that pack --node names', process.execPath],
  ])('is started by a host in Go without any environment, by its own first line %s', async (_what, node) => {
    const file = await pack(`for-go-${node === undefined}`, node)
    const flags = ['-slot=auth', '-mtls', '-skip-env', '-checksum=right']
    const run = spawnSync(
      join(goFolder, 'host'),
      [...flags, `-env=SFTPGO_TS_PLUGIN_SETTINGS=${settings}`, file],
      { encoding: 'utf8', timeout: 20_000, env: {} },
    )
    expect(run.status, run.stderr).toBe(0)
    const { answers, error } = JSON.parse(run.stdout) as {
      readonly error?: string
      readonly answers: readonly { readonly ask: string; readonly code: string; readonly text: string }[]
    } // what the Go program prints
    expect(error).toBeUndefined()
    const codes = Object.fromEntries(answers.map(({ ask, code }) => [ask, code]))
    expect(codes).toMatchObject({ 'right password': 'OK', 'wrong password': 'PermissionDenied' })
  })

  it('runs in our own host whatever its first line says', async () => {
    await pack('for-us', '/nowhere/node')
    const config = folder.file('one.json')
    runCommand(['init', config, '--port', '0'])
    const about = (...args: readonly string[]) => runCommand([...args, '--config', config])
    const archive = folder.file('for-us/acme-auth-0.1.0-any.tgz')
    expect(about('plugin', 'install', archive)).toMatchObject({ status: 0 })
    expect(about('plugin', 'enable', 'acme-auth', '--settings', settings)).toMatchObject({ status: 0 })
    expect(about('plugin', 'probe', 'acme-auth')).toMatchObject({ status: 0 })
  })
})
