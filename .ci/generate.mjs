// Makes src/gen again from proto/ and the setting schemas. With --check: fails when that changes anything.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
if (existsSync(join(top, 'proto/buf.gen.yaml'))) {
  run(join(top, 'node_modules/.bin/buf'), ['generate', '--template', 'buf.gen.yaml'], join(top, 'proto'))
  run(process.execPath, [join(top, '.ci/generate-descriptors.mjs')], top)
}
const schemas = join(top, '.ci/generate-settings.mjs')
if (existsSync(schemas)) run(process.execPath, [schemas], top)
run(process.execPath, [join(top, '.ci/generate-docs.mjs')], top)

if (process.argv.includes('--check')) {
  const { stdout } = spawnSync(
    'git',
    [
      'status',
      '--porcelain',
      '--',
      ...['src/gen', 'docs/settings.md', 'docs/sftpgo.schema.json', 'docs/errors.md', 'docs/metrics.md'],
    ],
    {
      cwd: top,
      encoding: 'utf8',
    },
  )
  if (stdout !== '') {
    process.stderr.write(`Generated code is not up to date: run "npm run generate" and commit\n${stdout}`)
    process.exit(1)
  }
}

function run(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
