// npm run soak [-- NAME ...]: the long form of proofs whose short form is part of `npm test`. What they measure is
// written to docs/soak.md. A variable that is set already wins: SFTPGO_TS_ENDURANCE=0.1 npm run soak -- ssh
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
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
  // Two hundred logins a second and five hundred connections a second, five minutes each: about 25 minutes.
  logins: {
    files: ['test/journeys/login-storms.test.ts'],
    env: { SFTPGO_TS_LOGIN_STORMS: '1' },
  },
  // Ten thousand strangers, a thousand idle sessions for half an hour, vanishing and flooding clients: about 40 minutes.
  ssh: {
    files: ['test/ssh/endurance.test.ts'],
    env: { SFTPGO_TS_ENDURANCE: '1', SFTPGO_TS_ENDURANCE_WAITS: '1' },
  },
}

const figures = join(mkdtempSync(join(tmpdir(), 'sftpgo-ts-soak-')), 'figures')

const asked = process.argv.slice(2)
const unknown = asked.find((name) => !(name in soaks))
if (unknown !== undefined) {
  process.stderr.write(`There is no soak "${unknown}"; there are: ${Object.keys(soaks).join(', ')}\n`)
  process.exit(2)
}
if (run('ready.mjs', [], {}) !== 0) process.exit(1)
let failed = 0
for (const name of asked.length > 0 ? asked : Object.keys(soaks)) {
  process.stdout.write(`\n== soak ${name}\n`)
  const began = Date.now()
  const settings = Object.entries(soaks[name].env).map(([key, value]) => [key, process.env[key] ?? value])
  const status = run('test.mjs', soaks[name].files, {
    ...Object.fromEntries(settings),
    SFTPGO_TS_SOAK_FIGURES: figures,
  })
  if (status !== 0) failed += 1
  writeDown(name, status === 0, settings, Math.round((Date.now() - began) / 60_000))
}
rmSync(dirname(figures), { recursive: true, force: true })
process.exitCode = failed > 0 ? 1 : 0

function run(script, args, env) {
  return spawnSync(process.execPath, [join(top, '.ci', script), ...args], {
    cwd: top,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  }).status
}

/** Puts the section of a soak into docs/soak.md, in the place of what stood there. */
function writeDown(name, passed, settings, minutes) {
  const page = join(top, 'docs/soak.md')
  const rows = existsSync(figures) ? readFileSync(figures, 'utf8').trim().split('\n') : []
  rmSync(figures, { force: true })
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`
  const section = [
    `## ${name}`,
    '',
    `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${process.platform} on ${machine}, ${minutes} minutes: ${passed ? 'passed' : 'FAILED'}.`,
    `\`${settings.map((pair) => pair.join('=')).join(' ')}\``,
    ...(rows.length === 0 ? [] : ['', '| proof | measured | bound |', '| --- | --- | --- |']),
    ...rows.map((row) => JSON.parse(row)).map((row) => `| ${row.proof} | ${row.figure} | ${row.bound} |`),
    '',
  ].join('\n')
  const old = existsSync(page) ? readFileSync(page, 'utf8') : ''
  const [head = '', ...sections] = old.split(/^(?=## )/m)
  const others = sections.filter((each) => !each.startsWith(`## ${name}\n`))
  const all = [...others, section]
    .map((each) => each.trim())
    .toSorted((one, other) => one.localeCompare(other))
  writeFileSync(page, [head.trim(), ...all].join('\n\n') + '\n')
  run('../node_modules/prettier/bin/prettier.cjs', ['--log-level=warn', '--write', page], {})
}
