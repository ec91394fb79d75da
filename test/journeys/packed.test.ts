import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

// Packing and installing anew asks the registry for the few packages that the cache lacks.
it(
  'installed from its package without any script into an empty folder, it serves',
  { timeout: 120_000 },
  async () => {
    using folder = temporaryDirectory()
    const packed = run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder.path], process.cwd())
    expect(packed.stderr).not.toContain('npm error')
    const archive = readdirSync(folder.path).find((name) => name.endsWith('.tgz')) ?? ''
    writeFileSync(folder.file('package.json'), '{ "private": true }')
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--omit=dev']
    const installed = run('npm', ['install', ...flags, `./${archive}`], folder.path)
    expect(installed.status, installed.stderr).toBe(0)

    const program = folder.file('node_modules/sftpgo-ts/dist/main.js')
    expect(existsSync(folder.file('node_modules/sftpgo-ts/docs/sftpgo.schema.json'))).toBe(true)
    expect(existsSync(folder.file('node_modules/vitest'))).toBe(false)
    const config = folder.file('one.config.json')
    expect(run(process.execPath, [program, 'init', config, '--port', '0'], folder.path).status).toBe(0)
    await using server = await startServerProcess(config, { program })
    expect(server.port).toBeGreaterThan(0)
    expect(server.password).toBeDefined()
    const doctor = run(process.execPath, [program, 'doctor', '--config', config], folder.path)
    expect(doctor.stdout).toContain('packet ciphers')
    expect(await server.stop()).toBe(0)
  },
)

function run(command: string, args: readonly string[], cwd: string) {
  return spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 100_000 })
}
