// Makes a clone ready to run: installs what is missing, builds what is stale, and is silent when there is nothing to do.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const supported = (major === 20 && minor >= 19) || (major === 22 && minor >= 13) || major >= 24
if (!supported) stop(`Node ${process.versions.node} is too old: 20.19, 22.13, 24 or newer is needed`)
if (process.platform === 'win32') stop('Windows is not supported: run it on Linux, macOS or inside WSL')

const installStamp = join(top, 'node_modules/.ready')
const buildStamp = join(top, 'dist/.ready')

const lock = sha256(readFileSync(join(top, 'package-lock.json')))
if (read(installStamp) !== lock) {
  // Not "npm ci": it insists on an entry for every platform a library was ever built for, also where the registry at hand
  // lacks one. With --no-save the lock decides all the same and stays as it is.
  const flags = ['--ignore-scripts', '--no-save', '--no-fund', '--no-audit', '--loglevel=error']
  step('Installing dependencies (once)', 'npm', ['install', ...flags])
  writeFileSync(installStamp, lock)
}

const inputs = sourceStamp()
if (process.argv.includes('--build') || read(buildStamp) !== inputs) {
  rmSync(join(top, 'dist'), { recursive: true, force: true })
  step('Building', process.execPath, [join(top, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json'])
  const assets = join(top, '.ci/build-assets.mjs')
  if (existsSync(assets)) step('', process.execPath, [assets])
  mkdirSync(dirname(buildStamp), { recursive: true })
  writeFileSync(buildStamp, inputs)
}

/** What the build depends on, by path, size and time: a few milliseconds for the whole tree. */
function sourceStamp() {
  const hash = createHash('sha256').update(lock)
  for (const folder of ['src', 'proto', 'examples', '.ci']) {
    const path = join(top, folder)
    if (!existsSync(path)) continue
    for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const file = join(entry.parentPath ?? entry.path, entry.name)
      if (file.includes('node_modules')) continue
      const { size, mtimeMs } = statSync(file)
      hash.update(`${file}\0${size}\0${mtimeMs}\n`)
    }
  }
  return hash.update(readFileSync(join(top, 'tsconfig.json'))).digest('hex')
}

function step(title, command, args) {
  if (title !== '') process.stderr.write(`${title} ...\n`)
  const done = spawnSync(command, args, { cwd: top, stdio: ['ignore', 2, 2] })
  if (done.status !== 0) stop(`${title}: "${command} ${args.join(' ')}" failed`)
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function stop(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
