import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const library = pathToFileURL(resolve('dist/telemetry/bounded-output.js')).href

/** Writes 20 MiB of lines to standard error; tells on standard output how long the loop stood still and what was given up. */
const writer = `
const { openBoundedOutput } = await import(${JSON.stringify(library)})
const output = openBoundedOutput(2)
const line = 'x'.repeat(1023) + '\\n'
let longestMs = 0
for (let round = 0; round < 200; round += 1) {
  const began = performance.now()
  for (let index = 0; index < 100; index += 1) output.write(line)
  await new Promise((settle) => setTimeout(settle, 1))
  longestMs = Math.max(longestMs, performance.now() - began)
}
const began = performance.now()
await output.flush(500)
process.stdout.write(JSON.stringify({ longestMs, flushMs: performance.now() - began, dropped: output.dropped }))
process.exit(0)
`

interface Told {
  readonly longestMs: number
  readonly flushMs: number
  readonly dropped: number
}

async function told(stderr: 'pipe' | number): Promise<Told> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', writer], {
    stdio: ['ignore', 'pipe', stderr],
  })
  let said = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  // Of standard error nobody reads here.
  await new Promise((settle) => child.once('exit', settle))
  return JSON.parse(said) as Told // as the program above prints it
}

describe('the output of the log', () => {
  it('never makes the event loop wait for a reader that stopped reading, and counts what it gave up (F-31)', async () => {
    const { longestMs, flushMs, dropped } = await told('pipe')
    // Of 20,000 lines 4 MiB are kept, and what the pipe itself takes.
    expect(dropped).toBeGreaterThan(14_000)
    expect(dropped).toBeLessThan(16_500)
    expect(longestMs).toBeLessThan(2_000)
    expect(flushMs).toBeLessThan(5_000)
  })

  it('gives nothing up where somebody takes it', async () => {
    using folder = temporaryDirectory()
    const file = openSync(folder.file('log'), 'w')
    const { dropped } = await told(file)
    closeSync(file)
    expect(dropped).toBe(0)
    expect(readFileSync(folder.file('log'), 'utf8').match(/\n/g)).toHaveLength(20_000)
  })
})
