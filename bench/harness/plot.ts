import { isValue, median, type BenchResult, type Row } from './report.ts'

const barHeight = 22
const labelWidth = 260
const width = 820

/** One figure: a bar per target and row, CPU relative to sshd's median. */
export function plot(result: BenchResult, peer: string): string {
  const rows = result.rows.filter((row) => row.samples[peer] !== undefined)
  const names = result.targets.map((target) => target.name)
  const lines: string[] = []
  let y = 40
  for (const row of rows) {
    lines.push(text(8, y + 14, row.title, 'start'))
    for (const [index, name] of names.entries()) {
      lines.push(...bar(row, { name, peer, y, color: colors[index % colors.length] ?? 'gray' }))
      y += barHeight
    }
    y += 10
  }
  const legend = names.map((name, index) => text(labelWidth + index * 120, 24, name, 'start', colors[index]))
  const one = labelWidth + (width - labelWidth) / 3
  const rule = `<line x1="${one}" y1="34" x2="${one}" y2="${y}" stroke="#888" stroke-dasharray="4 3"/>`
  return svg(y + 10, [...legend, ...lines, rule])
}

const colors = ['#2563eb', '#9ca3af', '#d97706', '#16a34a']

function bar(
  row: Row,
  {
    name,
    peer,
    y,
    color,
  }: { readonly name: string; readonly peer: string; readonly y: number; readonly color: string },
): string[] {
  const samples = row.samples[name]
  const base = median((row.samples[peer] ?? []).map((sample) => sample.cpu))
  if (samples === undefined || !(base > 0)) return []
  const ratio = median(samples.map((sample) => sample.cpu)) / base
  const length = Math.min(ratio / 3, 1) * (width - labelWidth - 50)
  return [
    `<rect x="${labelWidth}" y="${y + 2}" width="${length.toFixed(1)}" height="${barHeight - 6}" fill="${color}"/>`,
    text(labelWidth + length + 6, y + 15, ratio.toFixed(2), 'start'),
  ]
}

/** One figure: each target's rounds as dots, their median as a bar; CPU (or memory) above, time on the wall below. */
export function plotOf(row: Row, result: BenchResult): string {
  const lines: string[] = [text(8, 20, row.title, 'start')]
  let y = 34
  for (const what of ['cpu', 'wall'] as const) {
    const all = Object.values(row.samples).flatMap((samples) => samples.map((sample) => sample[what]))
    const most = Math.max(...all)
    if (!(most > 0)) continue
    const title = isValue(row) ? row.unit : what === 'cpu' ? 'seconds of CPU' : 'seconds on the wall'
    lines.push(text(8, y + 15, title, 'start', '#666'))
    y += barHeight
    for (const [index, { name }] of result.targets.entries()) {
      const values = (row.samples[name] ?? []).map((sample) => sample[what])
      lines.push(...rounds({ name, values, most, y, color: colors[index % colors.length] ?? 'gray' }))
      y += barHeight
    }
    y += 10
  }
  return svg(y, lines)
}

function rounds({
  name,
  values,
  most,
  y,
  color,
}: {
  readonly name: string
  readonly values: readonly number[]
  readonly most: number
  readonly y: number
  readonly color: string
}): string[] {
  if (values.length === 0) return []
  const room = width - labelWidth - 60
  const at = (value: number): number => Math.max(0, (value / most) * room)
  const middle = median(values)
  return [
    text(labelWidth - 8, y + 15, name, 'end'),
    `<rect x="${labelWidth}" y="${y + 2}" width="${at(middle).toFixed(1)}" height="${barHeight - 6}" fill="${color}" fill-opacity="0.6"/>`,
    ...values.map(
      (value) =>
        `<circle cx="${(labelWidth + at(value)).toFixed(1)}" cy="${y + 10}" r="3" fill="${color}" stroke="#111" stroke-width="0.5"/>`,
    ),
    text(width - 50, y + 15, middle.toPrecision(3), 'start'),
  ]
}

function svg(height: number, content: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...content,
    '</svg>',
  ].join('\n')
}

function text(x: number, y: number, what: string, anchor: string, color = '#111'): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${color}">${what.replaceAll('<', '&lt;')}</text>`
}
