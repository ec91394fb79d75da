/** Writes a line to standard output. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`)
}

/** Writes a value for programs: one JSON document, indented. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2))
}

/** Writes rows in columns as wide as they need, the last one as it is. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths: number[] = []
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length)
  }
  for (const row of rows) {
    print(
      row
        .map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
  }
}
