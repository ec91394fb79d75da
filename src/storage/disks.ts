import { statfsSync } from 'node:fs'
import { systemClock, type Clock } from '../base/clock.ts'
import { createLimiter, type Limiter } from '../base/limiter.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { silentMeter, type Meter } from '../base/meter.ts'
import { createCallPace, type CallPace } from './call-pace.ts'

/** The disks of this machine as the local backends see them: homes on one disk share what is known of its speed. */
export interface Disks {
  /** The disk with this device number; `realPath` lies on it. */
  diskOf(device: number, realPath: string): Disk
}

/** One disk. */
export interface Disk {
  /** Whether short calls about names and attributes run inline. */
  readonly calls: CallPace
  /** The same for the bytes of files. */
  readonly bytes: CallPace
  /** How many of this disk's calls may be in the pool together. */
  readonly limiter: Limiter
}

/** What disks need. */
export interface DisksOptions {
  /** Default the machine's. */
  readonly clock?: Clock
  /** Told when a disk turns slow or fast again. Default silent. */
  readonly log?: Logger
  /** Told when calls that ran on the main thread go to the pool from now on. Default silent. */
  readonly meter?: Meter
  /** How many calls of one disk may be in the pool together; default half of the pool. */
  readonly atOnce?: number
}

/** Creates the table of disks, empty. */
export function createDisks({
  clock = systemClock,
  log = silentLogger,
  meter = silentMeter,
  atOnce = halfOfPool(),
}: DisksOptions = {}): Disks {
  const known = new Map<number, Disk>()
  return {
    diskOf(device, realPath) {
      let disk = known.get(device)
      if (disk === undefined) {
        disk = createDisk(device, realPath)
        known.set(device, disk)
      }
      return disk
    },
  }

  function createDisk(device: number, realPath: string): Disk {
    const limiter = createLimiter({ atOnce, inLine: mostInLine })
    if (isRemote(realPath)) return { calls: inPool(), bytes: inPool(), limiter }
    return { calls: paceOf('names', device), bytes: paceOf('bytes', device), limiter }
  }

  function paceOf(what: string, device: number): CallPace {
    return createCallPace({
      monotonic: () => clock.monotonic(),
      onChange(inline, medianMicroseconds) {
        if (!inline) meter.add('sftpgo_inline_calls_moved_total', 1, { calls: what })
        log.info(inline ? 'disk is fast again' : 'disk turned slow', { device, what, medianMicroseconds })
      },
    })
  }

  /** Calls that may wait for another machine never run on this thread, however fast they are today. */
  function inPool(): CallPace {
    const pace = createCallPace({ monotonic: () => 0 })
    return { inline: false, took: (milliseconds) => pace.took(milliseconds), median: () => pace.median() }
  }
}

/** Sessions bound what they ask for; this only keeps a stuck disk from holding everything. */
const mostInLine = 65_536

/** Numbers by which the kernel names file systems whose answers come from elsewhere. */
const remoteKinds = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x65735546, 'fuse'],
  [0x00c36400, 'ceph'],
  [0x01021997, '9p'],
  [0x5346414f, 'afs'],
  [0x6b414653, 'kafs'],
  [0x0bd00bd0, 'lustre'],
  [0x01161970, 'gfs2'],
  [0x47504653, 'gpfs'],
  [0x7461636f, 'ocfs2'],
])

function isRemote(realPath: string): boolean {
  try {
    return remoteKinds.has(statfsSync(realPath).type)
  } catch {
    return false
  }
}

function halfOfPool(): number {
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4)
  return Math.max(1, Math.floor((Number.isFinite(threads) ? threads : 4) / 2))
}
