import { appendFileSync } from 'node:fs'

/** Writes a measured figure down for `docs/soak.md`, where `npm run soak` wants it. */
export function recordFigure(proof: string, figure: string, bound: string): void {
  const file = process.env['SFTPGO_TS_SOAK_FIGURES']
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ proof, figure, bound })}\n`)
}
