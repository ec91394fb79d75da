import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdentity } from '../../src/wire/certificate.ts'
import { problemOf, type Acknowledged, type Told } from './ledger.ts'
import { bundleProgram, startProgram, type Program } from '../helpers/program.ts'

/** A folder in which real processes upload, crash and tell a real notifier process; and what must hold afterwards. */
export interface EventRig extends AsyncDisposable {
  startNotifier(): Promise<Program>
  startServer(options?: ServerOptions): Program
  /** Everything the clients of all lives were told succeeded. */
  readonly ledger: Acknowledged[]
  /** Adds what a life said to the ledger. */
  takeLedger(server: Program): void
  /** The first thing that does not hold; undefined when everything does. */
  problem(): string | undefined
  /** How often the notifier was told, repetitions included, and how many different events. */
  heard(): { readonly told: number; readonly events: number }
}

/** What a server process does. */
export interface ServerOptions {
  readonly sessions?: number
  readonly uploads?: number
  /** A step and its occurrence at which it kills itself: `after-rename:3`. */
  readonly crashAt?: string
}

/** Prepares the folder and the two programs. */
export async function prepareEventRig(): Promise<EventRig> {
  const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-rig-'))
  const [uploader, notifier] = await Promise.all([
    bundleProgram('test/events/programs/uploader.ts'),
    bundleProgram('test/events/programs/notifier.ts'),
  ])
  for (const name of ['host', 'plugin']) {
    const { privateKeyPem, certificatePem } = await createIdentity()
    writeFileSync(join(folder, `${name}.key`), privateKeyPem)
    writeFileSync(join(folder, `${name}.crt`), certificatePem)
  }
  const running: Program[] = []
  const ledger: Acknowledged[] = []
  const at = (name: string): string => join(folder, name)
  return {
    ledger,
    async startNotifier() {
      const files = ['n.sock', 'heard', 'plugin.key', 'plugin.crt', 'host.crt'].map(at)
      const program = startProgram(notifier, files)
      running.push(program)
      await program.line('ready')
      return program
    },
    startServer({ sessions = 200, uploads = 100_000, crashAt = '' } = {}) {
      const program = startProgram(uploader, [folder, String(sessions), String(uploads), crashAt])
      running.push(program)
      return program
    },
    takeLedger({ lines }) {
      for (const line of lines) {
        const [word, username = '', name = '', began, acknowledged] = line.split(' ')
        if (word !== 'done' || acknowledged === undefined) continue
        ledger.push({ username, name, began: Number(began), acknowledged: Number(acknowledged) })
      }
    },
    problem: () => problemOf(ledger, heardIn(at('heard')), filesIn(at('data'))),
    heard() {
      const all = heardIn(at('heard'))
      return { told: all.length, events: new Set(all.map(({ id }) => id)).size }
    },
    async [Symbol.asyncDispose]() {
      for (const program of running) if (program.process.exitCode === null) program.process.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
      rmSync(uploader, { force: true })
      rmSync(notifier, { force: true })
    },
  }
}

function heardIn(file: string): Told[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith(']'))
    .map((line) => {
      const [id, username, path, status] = JSON.parse(line) as [string, string, string, number] // our own program's
      return { id, username, name: path.slice(1), status }
    })
}

function filesIn(data: string): Map<string, boolean> {
  return new Map(readdirSync(data).map((name) => [name, statSync(join(data, name)).size === 1000]))
}
