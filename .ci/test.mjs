// Runs the suite and ends with one line: N passed, N failed, N skipped. With REQUIRE_ALL=1 a skip is a failure.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-test-'))
const report = join(folder, 'report.json')
const run = spawnSync(
  process.execPath,
  [
    join(top, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...[
      '--config',
      'test/vitest.config.ts',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    ...process.argv.slice(2),
  ],
  { cwd: top, stdio: 'inherit' },
)

let passed = 0
let failed = run.status === 0 ? 0 : 1
let skipped = 0
try {
  const result = JSON.parse(readFileSync(report, 'utf8'))
  passed = result.numPassedTests
  // A file that cannot be loaded, or an error outside a test, fails the run without a failed test.
  failed = Math.max(result.numFailedTests, failed)
  skipped = result.numPendingTests + result.numTodoTests
  for (const [reason, count] of reasonsOf(result)) process.stdout.write(`Skipped ${count}: ${reason}\n`)
  for (const line of failuresOf(result)) process.stdout.write(`Failed: ${line}\n`)
} catch (error) {
  process.stderr.write(`The test report cannot be read: ${error.message}\n`)
}
rmSync(folder, { recursive: true, force: true })

const strict = process.env.REQUIRE_ALL === '1' && skipped > 0
if (strict) process.stderr.write(`REQUIRE_ALL=1: ${skipped} skipped tests count as failures\n`)
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
process.exitCode = failed > 0 || strict || passed === 0 ? 1 : 0

/** Why tests were skipped: what their titles say in brackets, else the file they stand in. With how many each has. */
function reasonsOf({ testResults }) {
  const counts = new Map()
  for (const { name, assertionResults } of testResults) {
    for (const { status, fullName } of assertionResults) {
      if (status === 'passed' || status === 'failed') continue
      const lacks = /\(skipped: ((?:[^()]|\([^()]*\))+)\)/.exec(fullName)?.[1]
      const needs = /\(?\b(needs [^()]+)\)/.exec(fullName)?.[1]
      const reason = lacks ?? needs ?? `by ${name.slice(top.length + 1)}`
      counts.set(reason, (counts.get(reason) ?? 0) + 1)
    }
  }
  return [...counts].toSorted(([a], [b]) => a.localeCompare(b))
}

/** Each failed test with its file and the first line of why, or the file when it never came to its tests. */
function failuresOf({ testResults }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = name.slice(top.length + 1)
    const failures = assertionResults
      .filter((test) => test.status === 'failed')
      .map(({ fullName, failureMessages }) => `${file}: ${fullName}: ${firstLine(failureMessages[0])}`)
    return failures.length === 0 && status === 'failed' ? [`${file}: ${firstLine(message)}`] : failures
  })
}

function firstLine(text = '') {
  return text.split('\n', 1)[0].slice(0, 300)
}
