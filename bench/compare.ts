// Holds two result files against each other: npm run bench compare A.json B.json
import { readResult } from './harness/keep.ts'
import { median, ratios } from './harness/report.ts'

const [first, second] = process.argv.slice(2)
if (first === undefined || second === undefined) {
  process.stderr.write('Usage: npm run bench compare A.json B.json\n')
  process.exit(2)
}
const a = readResult(first)
const b = readResult(second)
process.stdout.write('| work | ratio to sshd, A | B | B over A |\n|---|---|---|---|\n')
for (const row of a.rows) {
  const other = b.rows.find(({ name }) => name === row.name)
  if (other === undefined) continue
  const before = median(ratios(row, a.targets[0]?.name ?? '', 'sshd', 'cpu'))
  const after = median(ratios(other, b.targets[0]?.name ?? '', 'sshd', 'cpu'))
  process.stdout.write(
    `| ${row.title} | ${before.toFixed(2)} | ${after.toFixed(2)} | ${(after / before).toFixed(2)} |\n`,
  )
}
