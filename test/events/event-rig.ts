import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createIdentity } from '../../src/wire/certificate.ts'
import { problemOf, type Acknowledged, type Disk, type Told } from './ledger.ts'
import { bundleProgram, startProgram, type Program } from '../helpers/program.ts'

/** A folder in which real processes upload, crash and tell a real notifier process; and what must hold afterwards. */
export interface EventRig extends AsyncDisposable {
  startNotifier(): Promise<Program>
  startServer(options?: ServerOptions): Program
  /** Everything the clients of all lives were told succeeded. */
  ledger(): Acknowledged[]
  /** The first thing that does not hold; undefined when everything does. */
  problem(): string | undefined
  /** How often the notifier was told, repetitions included, and how many different events. */
  heard(): { readonly told: number; readonly events: number }
}

/** What a server process does. */
export interface ServerOptions {
  readonly sessions?: number
  /** How often each session does something; each time one to four operations. */
  readonly turns?: number
  /** Whether events survive power loss; they then go another way to the disk. Default false. */
  readonly durable?: boolean
  /** A moment and its occurrence at which it kills itself: `after renaming#3`. */
  readonly crashAt?: string
}

/** Prepares the folder and the two programs. */
export async function prepareEventRig(): Promise<EventRig> {
  const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-rig-'))
  const [worker, notifier] = await Promise.all([
    bundleProgram('test/events/programs/file-worker.ts'),
    bundleProgram('test/events/programs/notifier.ts'),
  ])
  for (const name of ['host', 'plugin']) {
    const { privateKeyPem, certificatePem } = await createIdentity()
    writeFileSync(join(folder, `${name}.key`), privateKeyPem)
    writeFileSync(join(folder, `${name}.crt`), certificatePem)
  }
  const running: Program[] = []
  const at = (name: string): string => join(folder, name)
  const ledger = (): Acknowledged[] =>
    linesOf(at('acknowledged')).map((line) => {
      const [username, key, began, acknowledged] = JSON.parse(line) as [string, string, number, number] // our own program's
      return { username, key, began, acknowledged }
    })
  return {
    ledger,
    async startNotifier() {
      const files = ['n.sock', 'heard', 'plugin.key', 'plugin.crt', 'host.crt'].map(at)
      const program = startProgram(notifier, files)
      running.push(program)
      await program.line('ready')
      return program
    },
    startServer({ sessions = 200, turns = 100_000, durable = false, crashAt = '' } = {}) {
      const program = startProgram(worker, [
        folder,
        String(sessions),
        String(turns),
        String(durable),
        crashAt,
      ])
      running.push(program)
      return program
    },
    problem: () => problemOf(ledger(), heardIn(at('heard')), diskOf(at('data'))),
    heard() {
      const all = heardIn(at('heard'))
      return { told: all.length, events: new Set(all.map(({ id }) => id)).size }
    },
    async [Symbol.asyncDispose]() {
      for (const program of running) if (program.process.exitCode === null) program.process.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
      rmSync(worker, { force: true })
      rmSync(notifier, { force: true })
    },
  }
}

/** A life without a fault: what waited is told, and the process ends when nothing is owed any more. */
export async function lastLife(rig: EventRig): Promise<void> {
  await ending(rig.startServer({ sessions: 20, turns: 2 }))
}

/** Waits for a server to end by itself, having nothing left to tell. */
export async function ending({ process }: Program): Promise<void> {
  const code = process.exitCode ?? (await once(process, 'close'))[0]
  if (code !== 0) throw new Error(`The server ended with ${String(code)}`)
}

function heardIn(file: string): Told[] {
  return linesOf(file).map((line) => {
    const [id, username, key, status] = JSON.parse(line) as [string, string, string, number] // our own program's
    return { id, username, key, status }
  })
}

/** Whole lines: a kill may cut the last one short. */
function linesOf(file: string): string[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith(']'))
}

function diskOf(data: string): Disk {
  const entries = readdirSync(data, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name)
    return [relative(data, path), entry.isDirectory() ? undefined : statSync(path).size] as const
  })
  return new Map(entries.filter(([name]) => name.includes('/')))
}
