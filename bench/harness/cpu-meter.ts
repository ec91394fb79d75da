import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

/** Counts the CPU time of one server: all its processes, the ones that come and go included. */
export interface CpuMeter {
  /** Seconds of CPU so far, user and system. */
  seconds(): number
  /** How it counts, for the report. */
  readonly how: string
  close(): void
}

/** Meters the process `pid` with everything that it has started and starts from now on. */
export function meterProcess(pid: number, name: string): CpuMeter {
  for (const [root, file, unit] of groups) {
    if (!existsSync(root)) continue
    const group = join(root, `sftpgo-ts-bench-${process.pid}-${name}`)
    try {
      mkdirSync(group, { recursive: true })
      // Its plugins run already and belong to it.
      for (const one of familyOf(pid)) appendFileSync(join(group, 'cgroup.procs'), String(one))
      const read = (): number => secondsIn(readFileSync(join(group, file), 'utf8'), unit)
      const before = read()
      return { how: 'control group', seconds: () => read() - before, close: () => removeGroup(root, group) }
    } catch {
      // Not allowed here: the process table is exact to a hundredth of a second.
    }
  }
  const before = treeSeconds(pid)
  return { how: 'process table', seconds: () => treeSeconds(pid) - before, close() {} }
}

const groups = [
  ['/sys/fs/cgroup/cpuacct', 'cpuacct.usage', 1e9],
  ['/sys/fs/cgroup', 'cpu.stat', 1e6],
] as const

/** The process and all that come from it. */
function familyOf(pid: number): number[] {
  const children = readIfThere(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(familyOf)]
}

function secondsIn(text: string, unit: number): number {
  const usage = /usage_usec (\d+)/.exec(text)?.[1] ?? text.trim()
  return Number(usage) / unit
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
function treeSeconds(root: number): number {
  const children = new Map<number, number[]>()
  const times = new Map<number, { own: number; waited: number }>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8')
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number)
      const parent = fields[1] ?? 0
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
      times.set(Number(entry), {
        own: (fields[11] ?? 0) + (fields[12] ?? 0),
        waited: (fields[13] ?? 0) + (fields[14] ?? 0),
      })
    } catch {
      // It ended while we looked.
    }
  }
  const sum = (pid: number): number => {
    const time = times.get(pid)
    const own = time === undefined ? 0 : time.own + time.waited
    return (children.get(pid) ?? []).reduce((total, child) => total + sum(child), own)
  }
  return sum(root) / 100
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
