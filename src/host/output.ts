import type { LogFields, LogLevel } from '../base/log.ts'
import { parseOutputLine, type PanicMemory } from './output-line.ts'

/** Where a plugin's words came from. */
export type OutputStream = 'stdout' | 'stderr' | 'stdio-stdout' | 'stdio-stderr'

/** One thing a plugin said. Text and fields are escaped and bounded. */
export interface OutputRecord {
  readonly timeMs: number
  readonly level: LogLevel
  readonly message: string
  readonly stream: OutputStream
  readonly fields: LogFields
}

/** Turns what a plugin prints into records. Never throws, whatever arrives. */
export interface OutputReader {
  /** Takes the next bytes of one stream. */
  take(bytes: Buffer, stream: OutputStream): void
  /** The process is gone: half a line counts too. */
  end(): void
  /** Milliseconds to stop reading for, when too much came; 0 when all is well. */
  readonly pauseMs: number
  /** The last lines, for the reason of a failed start. */
  tail(): string
}

/** How much a plugin may say. */
export interface OutputLimits {
  /** A longer line comes in pieces. Default 64 KiB, as in Go hosts. */
  readonly lineBytes?: number
  /** Records a second, on average; default 2,000. What is above is counted. */
  readonly recordsPerSecond?: number
  /** Bytes read a second; default 8 MiB. What is above waits in the plugin. */
  readonly bytesPerSecond?: number
}

/** Creates a reader. `now` is monotonic time in milliseconds, `wall` the time of day. */
export function createOutputReader(
  tell: (record: OutputRecord) => void,
  limits: OutputLimits = {},
  now: () => number = () => performance.now(),
  wall: () => number = Date.now,
): OutputReader {
  const lineBytes = limits.lineBytes ?? 65_536
  const records = createBudget(limits.recordsPerSecond ?? 2000, 2, now)
  const bytes = createBudget(limits.bytesPerSecond ?? 8 * 1024 * 1024, 1, now)
  const panic: PanicMemory = { panicking: false }
  const partial = new Map<OutputStream, Partial>()
  const last: string[] = []
  let dropped = 0

  const say = (record: Omit<OutputRecord, 'timeMs'>): void => {
    if (!records.take(1)) {
      dropped += 1
      return
    }
    if (dropped > 0) {
      const fields = { dropped }
      dropped = 0
      tell({ timeMs: wall(), level: 'warn', message: 'plugin output dropped', stream: record.stream, fields })
    }
    tell({ timeMs: wall(), ...record })
  }
  const line = (whole: Buffer, stream: OutputStream, cut: boolean): void => {
    // Spares the parsing of what nobody will read.
    if (records.empty()) {
      dropped += 1
      return
    }
    const record = parseOutputLine(whole, stream, cut, panic)
    last.push(record.message)
    if (last.length > 8) last.shift()
    say(record)
  }
  const flush = (stream: OutputStream, rest: Buffer, cut: boolean): void => {
    const held = partial.get(stream)
    partial.delete(stream)
    line(held === undefined ? rest : Buffer.concat([...held.pieces, rest]), stream, cut)
  }

  return {
    take(chunk, stream) {
      bytes.spend(chunk.length)
      let from = 0
      while (from < chunk.length) {
        const room = lineBytes - (partial.get(stream)?.sizeBytes ?? 0)
        const end = chunk.indexOf(10, from)
        if (end >= 0 && end - from <= room) {
          flush(stream, chunk.subarray(from, end), false)
          from = end + 1
        } else if (chunk.length - from >= room) {
          flush(stream, chunk.subarray(from, from + room), true)
          from += room
        } else {
          partial.set(stream, joined(partial.get(stream), chunk.subarray(from)))
          return
        }
      }
    },
    end() {
      for (const stream of [...partial.keys()]) flush(stream, Buffer.alloc(0), false)
      if (dropped === 0) return
      tell({
        timeMs: wall(),
        level: 'warn',
        message: 'plugin output dropped',
        stream: 'stderr',
        fields: { dropped },
      })
      dropped = 0
    },
    get pauseMs() {
      return bytes.debtMs()
    },
    tail: () => last.join(' | ').slice(-2000),
  }
}

/** The beginning of a line whose end has not come yet. */
interface Partial {
  readonly pieces: readonly Buffer[]
  readonly sizeBytes: number
}

/** Copies: the stream's own buffer would stay alive whole. Many small pieces become one. */
function joined(held: Partial | undefined, piece: Buffer): Partial {
  const pieces = [...(held?.pieces ?? []), Buffer.from(piece)]
  const sizeBytes = (held?.sizeBytes ?? 0) + piece.length
  return { pieces: pieces.length > 64 ? [Buffer.concat(pieces)] : pieces, sizeBytes }
}

interface Budget {
  take(amount: number): boolean
  /** Takes it in any case; the debt is paid by waiting. */
  spend(amount: number): void
  empty(): boolean
  debtMs(): number
}

/** Fills up with `perSecond`, holds at most `seconds` of that. */
function createBudget(perSecond: number, seconds: number, now: () => number): Budget {
  const most = perSecond * seconds
  let left = most
  let seen = now()
  const refill = (): void => {
    const time = now()
    left = Math.min(most, left + ((time - seen) / 1000) * perSecond)
    seen = time
  }
  return {
    take(amount) {
      refill()
      if (left < amount) return false
      left -= amount
      return true
    },
    spend(amount) {
      refill()
      left -= amount
    },
    empty() {
      refill()
      return left < 1
    },
    debtMs: () => (left >= 0 ? 0 : Math.ceil((-left / perSecond) * 1000)),
  }
}
