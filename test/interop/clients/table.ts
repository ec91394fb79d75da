/** What one client was seen to do. */
export interface ClientRow {
  readonly name: string
  readonly version: string
  readonly steps: Record<string, 'works' | 'failed' | 'not offered'>
}

/** docs/clients.md, from the rows of a run. */
export function clientsTable(rows: readonly ClientRow[]): string {
  const steps = [...new Set(rows.flatMap((row) => Object.keys(row.steps)))]
  const head = `| client | ${steps.join(' | ')} |`
  const lines = rows.map(
    (row) => `| ${row.name} (${row.version}) | ${steps.map((step) => mark(row.steps[step])).join(' | ')} |`,
  )
  return `${intro}\n${[head, `|---|${'---|'.repeat(steps.length)}`, ...lines].join('\n')}\n`
}

function mark(outcome: ClientRow['steps'][string] | undefined): string {
  return outcome === 'works' ? 'yes' : outcome === 'not offered' || outcome === undefined ? '-' : '**no**'
}

const intro = `# Clients

\`\`\`sh
WRITE_CLIENTS_TABLE=1 npm test -- test/interop/clients.test.ts
\`\`\`

runs every stock client that this machine has through one scenario against a real server, and writes this table.
A dash means that the client's own manual does not offer the operation.
`
