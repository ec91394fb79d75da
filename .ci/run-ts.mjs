// Runs a TypeScript program of the repository (bench, soak) on any supported Node: compiles the tree once, then starts it.
// Usage: node .ci/run-ts.mjs bench/transfer.ts ARG ...
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
// Below node_modules, so that packages are found from there and nothing of it is ever committed.
const out = join(top, 'node_modules/.cache/run-ts')

const [file, ...args] = process.argv.slice(2)
if (file === undefined || !existsSync(join(top, file))) {
  process.stderr.write('Name a TypeScript program: node .ci/run-ts.mjs bench/transfer.ts\n')
  process.exit(2)
}

mkdirSync(out, { recursive: true })
const compiled = spawnSync(
  process.execPath,
  [
    join(top, 'node_modules/typescript/bin/tsc'),
    ...['-p', 'test/tsconfig.json', '--noEmit', 'false', '--outDir', out, '--declaration', 'false'],
  ],
  { cwd: top, stdio: 'inherit' },
)
if (compiled.status !== 0) process.exit(1)
copyPlainFiles('.')

const { status, signal } = spawnSync(
  process.execPath,
  ['--enable-source-maps', join(out, file.replace(/\.ts$/, '.js')), ...args],
  {
    cwd: top,
    stdio: 'inherit',
  },
)
process.exit(signal === null ? (status ?? 1) : 1)

/** What the compiler leaves behind but programs read: the manifest, protos, schemas, plain JavaScript. */
function copyPlainFiles() {
  cpSync(join(top, 'package.json'), join(out, 'package.json'))
  for (const folder of ['proto', 'src', 'bench', 'test', 'examples']) {
    if (!existsSync(join(top, folder))) continue
    for (const entry of readdirSync(join(top, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || /(?<!\.d)\.ts$/.test(entry.name) || entry.parentPath.includes('node_modules'))
        continue
      const path = join(entry.parentPath, entry.name)
      const target = join(out, path.slice(top.length))
      mkdirSync(dirname(target), { recursive: true })
      cpSync(path, target)
    }
  }
}
