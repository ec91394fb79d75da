import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { PluginError } from '../../src/base/errors.ts'
import { digestOf } from '../../src/host/checksum.ts'
import { launch } from '../../src/host/launch.ts'
import { createOutputReader } from '../../src/host/output.ts'
import { verifiedCopy } from '../../src/host/verified-copy.ts'
import { native } from '../../src/native/library.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const tries = 1000
const kinds = [
  ...['rename', 'exchange', 'rewrite', 'relink', 'parent'],
  ...['watch-open', 'watch-read', 'watch-close', 'memory'],
]
const possible = process.platform === 'linux' && native().works
const title = possible ? '' : ' (skipped: the attacker needs Linux and koffi)'

/** As many bytes as a small plugin, so that an attack can fall into the middle of the reading. */
const padding = `#${'x'.repeat(150_000)}\n`
const good = `#!/bin/sh\necho good\nexit 0\n${padding}`
const goodBytes = Buffer.from(good)
const evil = `#!/bin/sh\necho evil\nexit 0\n${padding}`

describe.skipIf(!possible)(`other bytes never run${title}`, () => {
  for (const kind of kinds) {
    for (const runFrom of ['memory', 'file'] as const) {
      it(`${tries} timed tries against ${kind}, from ${runFrom}`, { timeout: 120_000 }, async () => {
        using folder = prepare()
        await using attack = await startAttack(kind, folder.path)
        const cmd = kind === 'parent' ? folder.file('parent/target') : folder.file('target')
        const seen = { good: 0, refused: 0 }
        for (let n = 0; n < tries; n += 1) {
          seen[await oneStart(cmd, runFrom, folder.path, n)] += 1
          expect(attack.running()).toBe(true)
        }
        expect(seen.good + seen.refused).toBe(tries)
        expect(seen.good).toBeGreaterThan(0)
      })
    }
  }
})

describe.skipIf(!possible)(`each of these attackers${title}`, () => {
  it.each(kinds.filter((kind) => kind !== 'memory'))(
    'gets past a host that hashes a path and then runs that path: %s',
    { timeout: 60_000 },
    async (kind) => {
      using folder = prepare()
      await using attack = await startAttack(kind, folder.path)
      const cmd = kind === 'parent' ? folder.file('parent/target') : folder.file('target')
      let won = false
      for (let n = 0; n < 20 * tries && !won; n += 1) won = await wouldRunEvil(cmd)
      expect(attack.running()).toBe(true)
      expect(won).toBe(true)
    },
  )
})

/** What go-plugin does: the file is read for its digest, then for running. Whether other bytes would run. */
async function wouldRunEvil(cmd: string): Promise<boolean> {
  try {
    if (digestOf(await readFile(cmd)) !== digestOf(goodBytes)) return false
    await new Promise((resolve) => void setImmediate(resolve))
    return !(await readFile(cmd)).equals(goodBytes)
  } catch {
    return false // the name is gone for a moment
  }
}

/** One start: the copy that would run holds the approved bytes, and every twentieth is run. */
async function oneStart(
  cmd: string,
  runFrom: 'memory' | 'file',
  folder: string,
  n: number,
): Promise<'good' | 'refused'> {
  try {
    const entry = { name: 'raced', cmd, args: [], sha256sum: digestOf(goodBytes) }
    const program = await verifiedCopy(entry, { runFrom, runFolder: join(folder, 'run') })
    expect(readFileSync(program.descriptor ?? program.command).equals(goodBytes)).toBe(true)
    const said = n % 20 === 0 ? await whatItSays(program) : 'good'
    await program.close()
    expect(said).toBe('good')
    return 'good'
  } catch (error) {
    if (!(error instanceof PluginError)) throw error
    // The last: the kernel does not run what somebody still has open for writing, sealed or not.
    expect(['checksum-mismatch', 'not-found', 'not-executable']).toContain(error.code)
    return 'refused'
  }
}

async function whatItSays(program: Awaited<ReturnType<typeof verifiedCopy>>): Promise<string> {
  const output = createOutputReader(() => {})
  const running = await launch({
    name: 'raced',
    program,
    environment: {},
    output,
    hostDeath: {
      ...{ way: 'watcher', limits: false },
      wrap: (command, args) => ({ command, args }),
      watch() {},
      forget() {},
      close() {},
    },
    clock: systemClock,
    startTimeoutMs: 10_000,
  })
  const line = await running.firstLine(10_000, new AbortController().signal)
  await running.exited
  return line
}

function prepare(): ReturnType<typeof temporaryDirectory> {
  const folder = temporaryDirectory()
  for (const [name, text] of [
    ['good', good],
    ['evil', evil],
    ['spare', evil],
    ['target', good],
  ] as const) {
    writeFileSync(folder.file(name), text)
    chmodSync(folder.file(name), 0o755)
  }
  for (const [name, text] of [
    ['parent', good],
    ['parent-evil', evil],
  ] as const) {
    mkdirSync(folder.file(name))
    writeFileSync(folder.file(`${name}/target`), text, { mode: 0o755 })
  }
  return folder
}

async function startAttack(kind: string, folder: string) {
  const script = join(import.meta.dirname, '../fixtures/attackers/attacker.mjs')
  const child = spawn(process.execPath, [script, kind, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return {
    running: () => child.exitCode === null && child.signalCode === null,
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      child.stdin.end()
      child.kill('SIGKILL')
      await gone
    },
  }
}
