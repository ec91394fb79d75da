import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { plot, plotOf } from './plot.ts'
import { priceTable, table, type BenchResult } from './report.ts'

/** Reads what a run kept. */
export function readResult(file: string): BenchResult {
  // Written by `keepResult`; a file of another shape fails at the first missing row.
  return JSON.parse(readFileSync(file, 'utf8')) as BenchResult
}

/** Keeps a run below `folder`: all of it as JSON, one plot of all ratios, and one for each figure. */
export function keepResult(folder: string, name: string, result: BenchResult): void {
  const figures = join(folder, name)
  rmSync(figures, { recursive: true, force: true })
  mkdirSync(figures, { recursive: true })
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`)
  writeFileSync(join(folder, `${name}.svg`), plot(result, 'sshd'))
  for (const row of result.rows) writeFileSync(join(figures, `${row.name}.svg`), plotOf(row, result))
}

/** Puts the tables of a run into a page, between the two marks for its version of Node. */
export function writeDocs(
  page: string,
  { name, node, result }: { readonly name: string; readonly node: number; readonly result: BenchResult },
): void {
  const [open, close] = [`<!-- run on Node ${node} -->`, `<!-- end of the run on Node ${node} -->`]
  const [before, rest] = readFileSync(page, 'utf8').split(open)
  const after = rest?.split(close)[1]
  if (before === undefined || after === undefined) throw new Error(`${page} has no place for Node ${node}`)
  writeFileSync(page, `${before}${open}\n\n${text(name, result)}\n\n${close}${after}`)
}

function text(name: string, result: BenchResult): string {
  const peers = result.targets.map((target) => `${target.name} (${target.version})`).join(', ')
  const form = result.quick ? 'quick form' : 'full form'
  const floor = result.floor.map(({ name: kind, cpu }) => `${kind} ${cpu} s`).join(', ')
  const tables = result.targets
    .filter((target) => target.name !== 'sshd')
    .flatMap((target) => [`${target.name} beside sshd:`, '', table(result, target.name, 'sshd'), ''])
  const price = priceTable(result)
  return [
    `${result.date}, ${result.machine}, ${result.cores} cores: ${peers}; ${form}, rounds: ${result.rounds}.`,
    '',
    ...tables,
    ...(price === undefined ? [] : ['What events and an auth plugin cost:', '', price, '']),
    `CPU that this machine needs for the same bytes at least: ${floor}.`,
    '',
    `![CPU relative to sshd](../bench/results/${name}.svg)`,
  ].join('\n')
}
