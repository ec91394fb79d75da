import { constants, fstatSync, openSync, write as writeFile } from 'node:fs'
import { Socket } from 'node:net'
import { isatty } from 'node:tty'

/** A place for lines that never makes the caller wait. */
export interface BoundedOutput {
  write(line: string): void
  /** Lines that were given up because nobody took them. */
  readonly dropped: number
  /** Waits until everything is written, but no longer than `ms`. */
  flush(ms: number): Promise<void>
}

/** Bytes kept while the other side does not read. */
const mostWaiting = 4 * 1024 * 1024

/**
 * Writes to a descriptor without ever blocking the process: a reader that stops reading costs lines, not the server.
 * Pipes and sockets are written without waiting; files and terminals by the thread pool, one write at a time.
 */
export function openBoundedOutput(fd: number): BoundedOutput {
  const kind = fstatSync(fd)
  if (kind.isFIFO() || kind.isSocket()) return throughSocket(fd)
  return throughPool(isatty(fd) ? unblockingTerminal(fd) : fd)
}

/**
 * The same terminal opened once more, so that a write to one that is stopped (Ctrl-S) fails and is tried again: a
 * thread that waits inside such a write would keep the process from ending. A mode set on `fd` itself would be the shell's too.
 */
function unblockingTerminal(fd: number): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return fd // not Linux, or the terminal of somebody else
  }
}

function throughSocket(fd: number): BoundedOutput {
  const socket = new Socket({ fd, readable: false, writable: true })
  // A reader that is gone is nothing to die of.
  socket.on('error', () => {})
  socket.unref()
  let dropped = 0
  return {
    write(line) {
      if (socket.destroyed || socket.writableLength > mostWaiting) dropped += 1
      else socket.write(line)
    },
    get dropped() {
      return dropped
    },
    flush: (ms) =>
      new Promise((resolve) => {
        if (socket.writableLength === 0 || socket.destroyed) return resolve()
        setTimeout(resolve, ms).unref()
        socket.ref()
        socket.write('', () => resolve())
      }),
  }
}

function throughPool(fd: number): BoundedOutput {
  let waiting: string[] = []
  let bytes = 0
  let dropped = 0
  let writing = false
  let idle = (): void => {}

  function next(): void {
    if (waiting.length === 0) {
      writing = false
      return idle()
    }
    writing = true
    const chunk = Buffer.from(waiting.join(''))
    waiting = []
    bytes = 0
    put(chunk)
  }

  function put(chunk: Buffer): void {
    writeFile(fd, chunk, (error, written) => {
      if (error?.code === 'EAGAIN') return void setTimeout(() => put(chunk), 10)
      if (error === null && written < chunk.length) return put(chunk.subarray(written))
      next()
    })
  }

  return {
    write(line) {
      if (bytes > mostWaiting) {
        dropped += 1
        return
      }
      waiting.push(line)
      bytes += line.length
      if (!writing) next()
    },
    get dropped() {
      return dropped
    },
    flush: (ms) =>
      new Promise((resolve) => {
        if (!writing) return resolve()
        setTimeout(resolve, ms).unref()
        idle = resolve
      }),
  }
}
