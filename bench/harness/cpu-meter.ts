import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

/** Seconds of CPU. */
export interface CpuSeconds {
  /** User and system. */
  readonly all: number
  /** Of it what passed in the kernel. */
  readonly kernel: number
}

/** Counts the CPU time of one server: all its processes, the ones that come and go included. */
export interface CpuMeter {
  /** So far. */
  seconds(): CpuSeconds
  /** How it counts, for the report. */
  readonly how: string
  close(): void
}

/** Meters the process `pid` with everything that it has started and starts from now on. */
export function meterProcess(pid: number, name: string): CpuMeter {
  for (const [root, read] of groups) {
    if (!existsSync(root)) continue
    const group = join(root, `sftpgo-ts-bench-${process.pid}-${name}`)
    try {
      mkdirSync(group, { recursive: true })
      // Its plugins run already and belong to it.
      for (const one of familyOf(pid)) appendFileSync(join(group, 'cgroup.procs'), String(one))
      const before = read(group)
      return {
        how: 'control group',
        seconds: () => since(before, read(group)),
        close: () => removeGroup(root, group),
      }
    } catch {
      // Not allowed here: the process table is exact to a hundredth of a second.
    }
  }
  const before = treeSeconds(pid)
  return { how: 'process table', seconds: () => since(before, treeSeconds(pid)), close() {} }
}

function since(before: CpuSeconds, now: CpuSeconds): CpuSeconds {
  return { all: now.all - before.all, kernel: now.kernel - before.kernel }
}

/** Where control groups may lie, and how one of them tells its time. */
const groups: readonly (readonly [root: string, read: (group: string) => CpuSeconds])[] = [
  [
    '/sys/fs/cgroup/cpuacct',
    (group) => ({
      all: numberIn(join(group, 'cpuacct.usage'), /(\d+)/) / 1e9,
      kernel: numberIn(join(group, 'cpuacct.usage_sys'), /(\d+)/) / 1e9,
    }),
  ],
  [
    '/sys/fs/cgroup',
    (group) => ({
      all: numberIn(join(group, 'cpu.stat'), /usage_usec (\d+)/) / 1e6,
      kernel: numberIn(join(group, 'cpu.stat'), /system_usec (\d+)/) / 1e6,
    }),
  ],
]

/** The process and all that come from it. */
function familyOf(pid: number): number[] {
  // Any thread may have started one.
  const children = namesIn(`/proc/${pid}/task`).flatMap((thread) =>
    readIfThere(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(familyOf)]
}

function numberIn(file: string, pattern: RegExp): number {
  const found = pattern.exec(readFileSync(file, 'utf8'))?.[1]
  if (found === undefined) throw new Error(`${file} says nothing of CPU`)
  return Number(found)
}

function removeGroup(root: string, group: string): void {
  try {
    for (const pid of readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) {
      appendFileSync(join(root, 'cgroup.procs'), pid)
    }
    rmdirSync(group)
  } catch {
    // A process that is just ending holds the group; an empty group costs nothing.
  }
}

/** Own time and the time of children that were waited for, summed over the living tree. */
function treeSeconds(root: number): CpuSeconds {
  let [user, kernel] = [0, 0]
  for (const pid of familyOf(root)) {
    const stat = readIfThere(`/proc/${pid}/stat`) // empty: it ended while we looked
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    user += (fields[11] ?? 0) + (fields[13] ?? 0)
    kernel += (fields[12] ?? 0) + (fields[14] ?? 0)
  }
  return { all: (user + kernel) / 100, kernel: kernel / 100 }
}

/** Memory of the process and its children, shared pages counted by share, in bytes. */
export function memoryOf(pid: number): number {
  const own = (one: number): number =>
    Number(/^Pss:\s+(\d+) kB/m.exec(readIfThere(`/proc/${one}/smaps_rollup`))?.[1] ?? '0') * 1024
  return familyOf(pid).reduce((total, one) => total + own(one), 0)
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
