import { createHash } from 'node:crypto'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { FakeVault } from './fake-vault.ts'

const top = join(import.meta.dirname, '../..')

/** The entry of examples/kms-vault, bundled and approved, that asks `vault`. */
export async function vaultEntry(
  vault: Pick<FakeVault, 'url' | 'token'>,
  { scheme = 'hashivault', status = 'VaultTransit' } = {},
): Promise<Record<string, unknown>> {
  const { outputFiles } = await build({
    entryPoints: [join(top, 'examples/kms-vault/plugin.ts')],
    ...{ bundle: true, write: false, platform: 'node', format: 'esm', target: 'node20' },
    banner: {
      js: "import { createRequire as make } from 'node:module'; const require = make(process.execPath);",
    },
    alias: { 'sftpgo-ts/sdk': join(top, 'src/sdk.ts') },
  })
  const bytes = Buffer.from(outputFiles[0]?.contents ?? [])
  const sha256sum = createHash('sha256').update(bytes).digest('hex')
  const folder = join(top, 'node_modules/.cache/fixture-plugins')
  const cmd = join(folder, `kms-vault-${sha256sum.slice(0, 16)}.mjs`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${cmd}.${process.pid}`, bytes)
  renameSync(`${cmd}.${process.pid}`, cmd)
  return {
    ...{ type: 'kms', name: `vault-${scheme}`, cmd, sha256sum, required: false },
    kms_options: { scheme, encrypted_status: status },
    settings: { url: vault.url, token: vault.token },
  }
}
