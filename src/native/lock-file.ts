import { linkSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'

/** The process that holds a lock file. */
export interface LockHolder {
  readonly pid: number
  /** When that process was started, as the kernel counts; empty where the kernel does not say. */
  readonly started: string
  /** The boot of the machine that the pid belongs to; empty where the kernel does not say. */
  readonly boot: string
  readonly since: string
}

/** What trying to hold a lock file came to. */
export type LockAttempt =
  | { readonly held: true; close(): void }
  /** `holder` is missing when others kept taking it away from each other. */
  | { readonly held: false; readonly holder?: LockHolder }

/**
 * Holds `file` for this process until it is closed or the process is gone: a lock that a dead process left is
 * replaced. Its folder has to be there, and writable by none but those who may hold it.
 */
export function holdLockFile(file: string): LockAttempt {
  const own = JSON.stringify(ownHolder())
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if (createExclusively(file, own)) return { held: true, close: () => release(file, own) }
    const text = readOr(file)
    const holder = holderOf(text)
    if (text === undefined) continue // just released
    if (holder !== undefined && isAlive(holder)) return { held: false, holder }
    takeAway(file, text)
  }
  return { held: false }
}

/** Who holds a lock file right now, or undefined. */
export function lockFileHolder(file: string): LockHolder | undefined {
  const holder = holderOf(readOr(file))
  return holder !== undefined && isAlive(holder) ? holder : undefined
}

/** Takes a dead lock away. Two starters may try: only one of them wins the right, by a name that both derive from it. */
function takeAway(lockFile: string, stale: string): void {
  const right = `${lockFile}.takeover`
  if (!createExclusively(right, JSON.stringify(ownHolder()))) {
    const other = holderOf(readOr(right))
    // The other one died in between: clear its claim, the next round tries again.
    if (other === undefined || !isAlive(other)) rmSync(right, { force: true })
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    return
  }
  try {
    if (readOr(lockFile) === stale) rmSync(lockFile, { force: true })
  } finally {
    rmSync(right, { force: true })
  }
}

/** Makes a file that appears with its content or not at all: a reader never sees it half written. */
function createExclusively(file: string, text: string): boolean {
  const draft = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`
  writeFileSync(draft, text, { flag: 'wx', mode: 0o600 })
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

function release(lockFile: string, own: string): void {
  try {
    if (readOr(lockFile) === own) unlinkSync(lockFile)
  } catch {
    // What stays is recognised as dead at the next start.
  }
}

function ownHolder(): LockHolder {
  return { pid: process.pid, started: startOf(process.pid), boot: bootId(), since: new Date().toISOString() }
}

function isAlive({ pid, started, boot }: LockHolder): boolean {
  if (boot !== bootId()) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  // Killed and not yet waited for by its parent: it holds nothing any more, and in a container it may stay so for ever.
  return started === startOf(pid) && statOf(pid)[0] !== 'Z'
}

function holderOf(text: string | undefined): LockHolder | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '')
    if (typeof value !== 'object' || value === null) return undefined
    // A lock of our own making; a damaged one has no pid and counts as dead.
    const { pid, started, boot, since } = value as Record<string, unknown>
    if (typeof pid !== 'number') return undefined
    return { pid, started: String(started), boot: String(boot), since: String(since) }
  } catch {
    return undefined
  }
}

/** The start time in the kernel's ticks: the 22nd field of the process's stat line, counted after its name. */
function startOf(pid: number): string {
  return statOf(pid)[19] ?? ''
}

/** The stat line of a process from its third field, the state, on; empty where the kernel does not say. */
function statOf(pid: number): readonly string[] {
  const stat = readOr(`/proc/${pid}/stat`) ?? ''
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function bootId(): string {
  return (readOr('/proc/sys/kernel/random/boot_id') ?? '').trim()
}

function readOr(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
