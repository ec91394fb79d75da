/** Everything one run measured, as it is written to bench/results. */
export interface BenchResult {
  readonly date: string
  readonly machine: string
  readonly cores: number
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
  /** Seconds, or that of a row of values: memory, or the time of one thing. */
  readonly unit: string
  /** Of times our share of sshd's, of values what ours may be. */
  readonly goal?: number
  /** Of times what ours with plugins may be of ours without. */
  readonly pluginGoal?: number
  readonly samples: Readonly<Record<string, readonly Sample[]>>
}

/** One target doing one piece of work once. For rows of values, `cpu` is the value and `wall` 0. */
export interface Sample {
  readonly cpu: number
  /** Of it what passed in the kernel; rows of values have none. */
  readonly kernel?: number
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
  const head =
    '| work | CPU ours | of it kernel | CPU sshd | ratio (spread) | goal | wall ours | wall sshd | wall ratio |'
  const lines = [head, '|---|---|---|---|---|---|---|---|---|']
  for (const row of result.rows) lines.push(line(row, ours, peer, leniencyOf(result, ours)))
  return lines.join('\n')
}

/** What events and an auth plugin cost, as a table in Markdown; undefined for a run without either. */
export function priceTable(result: BenchResult): string | undefined {
  if (result.targets.every(({ name }) => name !== 'ours')) return undefined
  const lines = ['| work | CPU with plugins | without | ratio (spread) | goal |', '|---|---|---|---|---|']
  for (const row of result.rows) {
    const price = ratios(row, 'ours', 'ours-plain', 'cpu')
    if (isValue(row) || price.length === 0) continue
    const cells = [row.title, shown(row, 'ours', 'cpu'), shown(row, 'ours-plain', 'cpu'), spreadOf(price)]
    lines.push(`| ${[...cells, verdictOn(median(price), row.pluginGoal)].join(' | ')} |`)
  }
  return lines.join('\n')
}

/** The major version of Node that `target` ran on. */
export function nodeOf({ targets }: BenchResult, target: string): number | undefined {
  const version = targets.find(({ name }) => name === target)?.version
  const major = /^Node v(\d+)/.exec(version ?? '')?.[1]
  return major === undefined ? undefined : Number(major)
}

/** The goals are those of Node 24 and 26; on Node 20 a fifth more is allowed. */
function leniencyOf(result: BenchResult, ours: string): number {
  return (nodeOf(result, ours) ?? 24) < 24 ? 1.2 : 1
}

function line(row: Row, ours: string, peer: string, leniency: number): string {
  const cpu = ratios(row, ours, peer, 'cpu')
  const wall = ratios(row, ours, peer, 'wall')
  const cells = [
    ...[row.title, shown(row, ours, 'cpu'), shown(row, ours, 'kernel'), shown(row, peer, 'cpu')],
    ...[cpu.length === 0 || isValue(row) ? '-' : spreadOf(cpu), verdict(row, ours, cpu, leniency)],
    ...[shown(row, ours, 'wall'), shown(row, peer, 'wall')],
    wall.length === 0 ? '-' : fixed(median(wall)),
  ]
  return `| ${cells.join(' | ')} |`
}

function shown(row: Row, name: string, what: Measured): string {
  const value = figure(row, name, what)
  return value === undefined || value === 0 ? '-' : `${value.toPrecision(3)} ${row.unit}`
}

function spreadOf(values: readonly number[]): string {
  return `${fixed(median(values))} (${fixed(Math.min(...values))} to ${fixed(Math.max(...values))})`
}

function verdict(row: Row, ours: string, cpu: readonly number[], leniency: number): string {
  const reached = isValue(row) ? figure(row, ours, 'cpu') : cpu.length === 0 ? undefined : median(cpu)
  if (row.goal === undefined || reached === undefined) return '-'
  return isValue(row) ? verdictOn(reached, row.goal, ` ${row.unit}`) : verdictOn(reached, row.goal * leniency)
}

function verdictOn(reached: number, goal: number | undefined, unit = ''): string {
  if (goal === undefined) return '-'
  return `${Number(goal.toPrecision(3))}${unit} ${reached <= goal ? 'met' : 'missed'}`
}

type Measured = 'cpu' | 'kernel' | 'wall'

/** What stands for a target in a table: the median, of memory the first round. */
export function figure(row: Row, name: string, what: Measured): number | undefined {
  const values = (row.samples[name] ?? []).flatMap((sample) => sample[what] ?? [])
  // Later rounds use again what the sessions of earlier ones left.
  return row.unit === 'KiB' ? values[0] : values.length === 0 ? undefined : median(values)
}

/** Whether a row is of values, not of work. */
export function isValue({ unit }: Row): boolean {
  return unit !== 's'
}

function fixed(value: number): string {
  return value.toFixed(2)
}
