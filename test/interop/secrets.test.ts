import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createBuiltinKeeper, createSecretboxKeeper } from '../../src/secrets/local-keepers.ts'
import { Secret } from '../../src/secrets/secret.ts'

const source = join(import.meta.dirname, '../fixtures/secrets/go')
const withGo =
  spawnSync('go', ['build', '-o', '/dev/null', '.'], { cwd: source, timeout: 170_000 }).status === 0

describe.skipIf(!withGo)(`local secrets${withGo ? '' : ' (skipped: no Go)'}`, () => {
  it('of both forms open in Go, with and without a master key', () => {
    const sealed = ['', 'ada', 'folder_shared'].flatMap((owner) =>
      ['', 'päss 世界', 'x'.repeat(3000)].flatMap((plain) =>
        ['', 'the master key of this site'].flatMap((masterKey) =>
          [createSecretboxKeeper(masterKey), createBuiltinKeeper()].map((keeper) => ({
            ...{ plain, masterKey, stored: keeper.seal(new Secret(plain), owner) },
          })),
        ),
      ),
    )
    const { stdout, stderr } = spawnSync('go', ['run', '.', 'open'], {
      ...{ cwd: source, input: JSON.stringify(sealed), encoding: 'utf8' },
    })
    expect(stdout + stderr).toBe('all open\n')
  })
})
