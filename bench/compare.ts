// Holds two result files against each other: npm run bench compare A.json B.json
import { readResult } from './harness/keep.ts'
import { figure, isValue, median, ratios, type BenchResult, type Row } from './harness/report.ts'

const [first, second] = process.argv.slice(2)
if (first === undefined || second === undefined) {
  process.stderr.write('Usage: npm run bench compare A.json B.json\n')
  process.exit(2)
}
const a = readResult(first)
const b = readResult(second)
process.stdout.write('| work | A: ratio to sshd, or value | B | B over A |\n|---|---|---|---|\n')
for (const row of a.rows) {
  const other = b.rows.find(({ name }) => name === row.name)
  if (other === undefined) continue
  const [before, after] = [reached(row, a), reached(other, b)]
  process.stdout.write(
    `| ${row.title} | ${before.toFixed(2)} | ${after.toFixed(2)} | ${(after / before).toFixed(2)} |\n`,
  )
}

function reached(row: Row, { targets }: BenchResult): number {
  const ours = targets[0]?.name ?? ''
  return isValue(row) ? (figure(row, ours, 'cpu') ?? Number.NaN) : median(ratios(row, ours, 'sshd', 'cpu'))
}
