import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { build } from 'esbuild'

const top = resolve(import.meta.dirname, '../..')

/**
 * Bundles a TypeScript program of the tests into one file that every supported Node runs; its path. It lies below
 * node_modules, so that packages are found from there and nothing of it is ever committed.
 */
export async function bundleProgram(source: string): Promise<string> {
  const folder = join(top, 'node_modules/.cache/test-programs')
  mkdirSync(folder, { recursive: true })
  const outfile = join(folder, `${basename(source, '.ts')}-${process.pid}.mjs`)
  await build({
    entryPoints: [resolve(top, source)],
    outfile,
    ...{ bundle: true, platform: 'node', format: 'esm', packages: 'external', target: 'node20' },
  })
  return outfile
}

/** A running program whose lines on standard output are collected. */
export interface Program {
  readonly process: ChildProcess
  readonly lines: string[]
  /** Waits for a line that begins with `start`. */
  line(start: string, withinMs?: number): Promise<string>
  /** Sends `signal` and waits until it is gone. */
  stop(signal: NodeJS.Signals): Promise<void>
}

/** Starts a bundled program. */
export function startProgram(file: string, args: readonly string[]): Program {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  const heard = new Set<() => void>()
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    for (const listener of heard) listener()
  })
  // 'close' comes after the last byte of the output, 'exit' may come before.
  const closed = once(child, 'close')
  return {
    process: child,
    lines,
    line(start, withinMs = 15_000) {
      return new Promise((found, missed) => {
        const timer = setTimeout(() => {
          heard.delete(look)
          missed(
            new Error(`"${start}" was not said within ${withinMs} ms; said: ${lines.slice(-5).join(' | ')}`),
          )
        }, withinMs)
        const look = (): void => {
          const line = lines.find((one) => one.startsWith(start))
          if (line === undefined) return
          clearTimeout(timer)
          heard.delete(look)
          found(line)
        }
        heard.add(look)
        look()
      })
    },
    async stop(signal) {
      child.kill(signal)
      await closed
    },
  }
}
