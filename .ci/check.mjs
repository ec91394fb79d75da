// What CI runs: types, lint, format, generated code up to date, dead code, architecture and every other test. A step that
// fails does not keep the others from being told. With --no-tests: all but the tests.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
const steps = ['types', 'lint', 'format:check', 'generate:check', 'dead']
if (!process.argv.includes('--no-tests')) steps.push('test')

const ready = spawnSync(process.execPath, [join(top, '.ci/ready.mjs')], { cwd: top, stdio: 'inherit' })
if (ready.status !== 0) process.exit(1)
const failed = steps.filter((name) => {
  process.stdout.write(`\n== npm run ${name}\n`)
  return spawnSync('npm', ['run', '--silent', name], { cwd: top, stdio: 'inherit' }).status !== 0
})
for (const name of failed) process.stderr.write(`npm run ${name} failed\n`)
process.exitCode = failed.length > 0 ? 1 : 0
