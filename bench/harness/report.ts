/** Everything one run measured, as it is written to bench/results. */
export interface BenchResult {
  readonly date: string
  readonly machine: string
  readonly rounds: number
  readonly quick: boolean
  readonly targets: readonly { readonly name: string; readonly version: string }[]
  readonly floor: readonly { readonly name: string; readonly cpu: number }[]
  readonly rows: readonly Row[]
  /** Peers that could not take part, and why. */
  readonly absent: readonly string[]
}

/** One piece of work: each target's samples, one per round. */
export interface Row {
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly goal?: number
  readonly samples: Readonly<Record<string, readonly Sample[]>>
}

/** One target doing one piece of work once. For rows of values, `cpu` is the value and `wall` 0. */
export interface Sample {
  readonly cpu: number
  readonly wall: number
}

/** The middle of what was measured. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const high = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2
}

/** Ours over a peer's, round by round, so that the machine's mood hits both alike. */
export function ratios(row: Row, ours: string, peer: string, of: 'cpu' | 'wall'): number[] {
  const mine = row.samples[ours] ?? []
  const theirs = row.samples[peer] ?? []
  return mine.flatMap((sample, round) => {
    const other = theirs[round]
    return other === undefined || other[of] === 0 ? [] : [sample[of] / other[of]]
  })
}

/** The run as a table in Markdown. */
export function table(result: BenchResult, ours: string, peer: string): string {
  const head = '| work | CPU ours | CPU sshd | ratio (spread) | goal | wall ours | wall sshd | wall ratio |'
  const lines = [head, '|---|---|---|---|---|---|---|---|']
  for (const row of result.rows) lines.push(line(row, ours, peer))
  return lines.join('\n')
}

function line(row: Row, ours: string, peer: string): string {
  const of = (name: string, what: 'cpu' | 'wall'): string => {
    const values = (row.samples[name] ?? []).map((sample) => sample[what])
    return values.length === 0 || median(values) === 0 ? '-' : `${median(values).toPrecision(3)} ${row.unit}`
  }
  const cpu = ratios(row, ours, peer, 'cpu')
  const wall = ratios(row, ours, peer, 'wall')
  const spread =
    cpu.length === 0
      ? '-'
      : `${fixed(median(cpu))} (${fixed(Math.min(...cpu))} to ${fixed(Math.max(...cpu))})`
  const goal = row.goal === undefined ? '-' : `${row.goal} ${median(cpu) <= row.goal ? 'met' : 'missed'}`
  const cells = [row.title, of(ours, 'cpu'), of(peer, 'cpu'), spread, cpu.length === 0 ? '-' : goal]
  return `| ${[...cells, of(ours, 'wall'), of(peer, 'wall'), wall.length === 0 ? '-' : fixed(median(wall))].join(' | ')} |`
}

function fixed(value: number): string {
  return value.toFixed(2)
}
