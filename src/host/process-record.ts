import { execFileSync } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, readFile as readFileAsync } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { makeFolders } from '../base/make-folders.ts'

/** A plugin process that was started and may outlive us. */
export interface RecordedProcess {
  readonly name: string
  /** Also the number of its process group. */
  readonly pid: number
  /** When the kernel says it began: with the number it names one process for ever. */
  readonly startedAt: string
  /** A path made for this life alone that stands in its environment, and in that of its children. */
  readonly marker: string
}

/** The processes under way, on disk, so that the next start can end what a crash left behind. */
export interface ProcessRecords {
  add(process: RecordedProcess): void
  remove(pid: number): void
}

/** Opens the record at `path` and ends every survivor it names. Returns the names of those that were ended. */
export function openProcessRecords(path: string): { records: ProcessRecords; ended: readonly string[] } {
  const left = readRecords(path)
  const ended = left.filter(endSurvivor)
  for (const { marker } of left) removeSocketFolder(marker)
  const current = new Map<number, RecordedProcess>()
  const save = (): void => writeRecords(path, [...current.values()])
  save()
  return {
    ended: ended.map(({ name }) => name),
    records: {
      add(process) {
        current.set(process.pid, process)
        save()
      },
      remove(pid) {
        if (current.delete(pid)) save()
      },
    },
  }
}

/** When a process began, as text to compare; undefined when there is none of that number. */
export function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
      const ticks = statFields(pid)[19]
      return ticks === undefined ? undefined : `${boot} ${ticks}`
    }
    return (
      execFileSync('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'latin1' }).trim() ||
      undefined
    )
  } catch {
    return undefined
  }
}

/** The fields of `/proc/PID/stat` after the name, which may itself hold spaces and brackets. */
function statFields(pid: number | string): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function readRecords(path: string): RecordedProcess[] {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return Array.isArray(value) ? value.filter(isRecord) : []
  } catch {
    return []
  }
}

function isRecord(value: unknown): value is RecordedProcess {
  if (typeof value !== 'object' || value === null) return false
  const { name, pid, startedAt, marker } = value as Partial<Record<keyof RecordedProcess, unknown>> // only looked at
  return (
    typeof name === 'string' &&
    typeof pid === 'number' &&
    Number.isSafeInteger(pid) &&
    pid > 1 &&
    typeof startedAt === 'string' &&
    typeof marker === 'string' &&
    marker.length > 8
  )
}

/** Removes the folder of a life that is over. The record is ours alone, and still only such a folder is removed. */
function removeSocketFolder(marker: string): void {
  try {
    const stats = lstatSync(marker)
    // Root gives a folder to the user that a plugin runs as.
    const mine = [stats.uid, 0].includes(process.getuid?.() ?? -1)
    const ours = stats.isDirectory() && mine && (stats.mode & 0o77) === 0
    if (ours && basename(marker).startsWith('sftpgo-ts-')) rmSync(marker, { recursive: true, force: true })
  } catch {
    // It is gone.
  }
}

/** Never by name or path: a number that was given to somebody else since is left alone. */
function endSurvivor({ pid, startedAt, marker }: RecordedProcess): boolean {
  if (startTimeOf(pid) === startedAt) return kill(-pid) || kill(pid)
  return membersOf(pid, marker).filter((member) => kill(member)).length > 0
}

/** Ends whatever still has `marker` in its environment: what a plugin started and hid from its process group. */
export async function endFamily(marker: string): Promise<void> {
  for (const pid of await familyOf(marker)) kill(pid)
}

/** The processes that have `marker` in their environment. */
export async function familyOf(marker: string): Promise<readonly number[]> {
  if (process.platform !== 'linux') return []
  const pids = (await readdir('/proc')).filter(
    (entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid,
  )
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFileAsync(`/proc/${pid}/environ`, 'latin1').catch(() => '')
      return environment.includes(`=${marker}\0`) ? [Number(pid)] : []
    }),
  )
  return found.flat()
}

/** Children of a leader that is gone: still in its group, and with the marker of that life. */
function membersOf(group: number, marker: string): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        if (statFields(pid)[2] !== String(group)) return false
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(marker)
      } catch {
        return false // it ended meanwhile, or belongs to somebody else
      }
    })
    .map(Number)
}

function kill(target: number): boolean {
  try {
    process.kill(target, 'SIGKILL')
    return true
  } catch {
    return false
  }
}

function writeRecords(path: string, processes: readonly RecordedProcess[]): void {
  makeFolders(dirname(path), 0o700)
  const next = `${path}.new`
  writeFileSync(next, `${JSON.stringify(processes)}\n`, { mode: 0o600 })
  renameSync(next, path)
}
