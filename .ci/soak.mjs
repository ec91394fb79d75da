// npm run soak [-- NAME ...]: the long form of proofs whose short form is part of `npm test`.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')

/** What is run longer, and by how much. A new one is a row here and a variable that its test reads. */
const soaks = {
  // A million schedules, a thousand kills of the events' own rig, a thousand of the whole server: about two hours.
  events: {
    files: ['test/events', 'test/journeys/events-crash.test.ts'],
    env: { SFTPGO_TS_SCHEDULES: '1000000', SFTPGO_TS_CRASHES: '1000', SFTPGO_TS_SERVER_CRASHES: '1000' },
  },
}

const asked = process.argv.slice(2)
const unknown = asked.find((name) => !(name in soaks))
if (unknown !== undefined) {
  process.stderr.write(`There is no soak "${unknown}"; there are: ${Object.keys(soaks).join(', ')}\n`)
  process.exit(2)
}
run('ready.mjs', [], {})
for (const name of asked.length > 0 ? asked : Object.keys(soaks)) {
  process.stdout.write(`\n== soak ${name}\n`)
  run('test.mjs', soaks[name].files, soaks[name].env)
}

function run(script, args, env) {
  const { status } = spawnSync(process.execPath, [join(top, '.ci', script), ...args], {
    cwd: top,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  if (status !== 0) process.exit(status ?? 1)
}
