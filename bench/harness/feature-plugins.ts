import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { digestOf } from '../../src/host/checksum.ts'

/** Builds the bench's plugins into `folder`: their entries for the configuration, checksums included. */
export async function buildFeaturePlugins(top: string, folder: string): Promise<object[]> {
  const auth = await built(top, folder, 'auth')
  const notifier = await built(top, folder, 'notifier')
  return [
    { ...{ type: 'auth', name: 'auth', ...auth }, auth_options: { scope: 1 } },
    {
      ...{ type: 'notifier', name: 'notifier', ...notifier },
      notifier_options: { fs_events: ['upload', 'download'], retry_max_time: 60, retry_queue_max_size: 100 },
    },
  ]
}

async function built(top: string, folder: string, name: string): Promise<{ cmd: string; sha256sum: string }> {
  const source = join(top, 'bench/harness/plugins', `${name}.ts`)
  if (!existsSync(source)) throw new Error(`Run the bench in its checkout: there is no ${source}`)
  const { outputFiles } = await build({
    entryPoints: [source],
    ...({ bundle: true, write: false, platform: 'node', format: 'esm' } as const),
    banner: {
      js: "import { createRequire as make } from 'node:module'; const require = make(process.execPath);",
    },
  })
  const bytes = Buffer.from(outputFiles[0]?.contents ?? [])
  const cmd = join(folder, `${name}-plugin.mjs`)
  writeFileSync(cmd, bytes)
  return { cmd, sha256sum: digestOf(bytes) }
}
