import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { RotationOutcome } from '../../src/server/kms-operations.ts'
import { startFakeVault } from '../helpers/fake-vault.ts'
import { runCommandBeside } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { vaultEntry } from '../helpers/vault-plugin.ts'

const users = 40

describe('kms rotate as a process of its own', () => {
  it.each([
    ['to another keeper', 'builtin://', []],
    ['with a new version of the same key', 'hashivault://k', ['--all']],
  ])('goes on where it was killed: %s', { timeout: 120_000 }, async (_, before, options) => {
    await using vault = await startFakeVault()
    vault.addKey('k')
    using folder = temporaryDirectory()
    const file = folder.file('test.config.json')
    const plugin = await vaultEntry(vault)
    const configure = (url: string): void =>
      writeFileSync(
        file,
        JSON.stringify({ state_dir: folder.file('state'), kms: { secrets: { url } }, plugins: [plugin] }),
      )
    configure(before)
    writeFileSync(folder.file('dump.json'), JSON.stringify({ users: Array.from({ length: users }, userOf) }))
    const imported = await runCommandBeside(['user', 'import', folder.file('dump.json'), '--config', file])
    expect(imported.status, imported.stderr).toBe(0)

    configure('hashivault://k')
    vault.delayMs = 60
    const rotate = ['kms', 'rotate', ...options, '--json', '--config', file]
    const cut = spawn(process.execPath, ['dist/main.js', ...rotate], { stdio: ['ignore', 'ignore', 'pipe'] })
    // The first line of progress comes after the first secret; most are still to come.
    await once(cut.stderr, 'data')
    await new Promise((resolve) => setTimeout(resolve, 400))
    cut.kill('SIGKILL')
    await once(cut, 'close')

    vault.delayMs = 0
    const lost = parsed(await runCommandBeside(['kms', 'rehearse', '--json', '--config', file]))
    expect(lost).toMatchObject({ ok: true, opened: users, failed: [] })
    const rest = parsed(await runCommandBeside(rotate)) as RotationOutcome // looked at below
    expect(rest).toMatchObject({ finished: true, failed: [], keeper: 'hashivault' })
    expect(rest.rotated).toBeGreaterThan(0)
    expect(rest.rotated, 'what was done before the kill is not done again').toBeLessThan(users)
    expect(rest.resumedAfter === '').toBe(options.length === 0)
    const whole = parsed(await runCommandBeside(['kms', 'rehearse', '--json', '--config', file]))
    expect(whole).toMatchObject({ ok: true, opened: users })
  })
})

function userOf(_: unknown, index: number): object {
  const passphrase = { status: 'Plain', payload: `a passphrase for user ${index}` }
  return {
    ...{ username: `user-${String(index).padStart(3, '0')}`, status: 1, permissions: { '/': ['*'] } },
    ...{ home_dir: '/nonexistent/home', filesystem: { provider: 4, cryptconfig: { passphrase } } },
  }
}

function parsed({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): unknown {
  expect(stdout, stderr).toMatch(/^\{/)
  return JSON.parse(stdout)
}
