import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import { digestOf } from '../../src/host/checksum.ts'

/** A plugin program that a host can be told of. */
export interface FixturePlugin {
  readonly cmd: string
  readonly sha256sum: string
}

const folder = join(import.meta.dirname, '../../node_modules/.cache/fixture-plugins')

/** Bundles a fixture into one JavaScript file; equal sources give the same file, made once. */
export async function fixturePlugin(name = 'misbehaving'): Promise<FixturePlugin> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, `../fixtures/plugins/${name}.ts`)],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Libraries inside still ask for `require`.
    banner: {
      js: "import { createRequire as make } from 'node:module'; const require = make(process.execPath);",
    },
  })
  const [file] = outputFiles
  if (file === undefined) throw new Error(`Nothing was made of "${name}"`)
  const bytes = Buffer.from(file.contents)
  const sha256sum = digestOf(bytes)
  const cmd = join(folder, `${basename(name)}-${sha256sum.slice(0, 16)}.mjs`)
  if (!existsSync(cmd)) {
    mkdirSync(folder, { recursive: true })
    // Other test files may be making the same one.
    writeFileSync(`${cmd}.${process.pid}`, bytes)
    renameSync(`${cmd}.${process.pid}`, cmd)
  }
  return { cmd, sha256sum }
}
