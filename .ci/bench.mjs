// npm run bench [-- SUITE ...]: transfer (the default), plugins, logins, events, storage, or compare A B.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
const [first = '', ...rest] = process.argv.slice(2)
const named = existsSync(join(top, `bench/${first}.ts`))
const suite = first === '' || first.startsWith('-') ? 'transfer' : first
if (!named && suite === first) {
  const suites = readdirSync(join(top, 'bench')).filter((name) => name.endsWith('.ts'))
  process.stderr.write(
    `There is no suite "${first}"; there are: ${suites.map((name) => name.slice(0, -3)).join(', ')}\n`,
  )
  process.exit(2)
}
const args = suite === first ? rest : process.argv.slice(2)
for (const script of [['.ci/ready.mjs'], ['.ci/run-ts.mjs', `bench/${suite}.ts`, ...args]]) {
  const { status } = spawnSync(process.execPath, [join(top, script[0] ?? ''), ...script.slice(1)], {
    cwd: top,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
}
