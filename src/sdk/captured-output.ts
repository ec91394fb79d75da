import { writeSync } from 'node:fs'
import { OutputQueue, type PrintedFrom } from './output-queue.ts'

/** The process's own output, turned aside so that the first line on stdout can be the handshake. */
export interface CapturedOutput {
  readonly queue: OutputQueue
  /** Writes to the real stdout: the handshake, and nothing else ever. */
  writeFirstLine(line: string): void
  /** Writes a line to the real stderr, which hosts read as the log. */
  writeLogLine(line: string): void
  /** From now on stderr goes to the queue too. Before, it is the log, so that a plugin that cannot start can say why. */
  captureStderr(): void
  /** Writes what nobody read to the real stderr, for a plugin that ends before it was heard. */
  flush(): void
}

/** Turns `process.stdout` aside at once. Output of native code and of child processes is not covered. */
export function captureOutput(): CapturedOutput {
  const queue = new OutputQueue()
  const capture = (from: PrintedFrom): void => {
    // The three forms of `write` differ in what may follow the bytes, and only there.
    process[from].write = (chunk: string | Uint8Array, encoding?: unknown, done?: unknown) => {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encodingOf(encoding)) : Buffer.from(chunk)
      queue.push(from, bytes)
      const callback = typeof encoding === 'function' ? encoding : done
      if (typeof callback === 'function') process.nextTick(callback)
      return true
    }
  }
  capture('stdout')
  return {
    queue,
    writeFirstLine: (line) => writeWhole(1, Buffer.from(line)),
    writeLogLine: (line) => writeWhole(2, Buffer.from(line)),
    captureStderr: () => capture('stderr'),
    flush() {
      for (const { bytes } of queue.drain()) writeWhole(2, bytes)
    },
  }
}

/** Past the streams, which are turned aside. A pipe that is full or gone is no reason to fail. */
function writeWhole(descriptor: number, bytes: Buffer): void {
  let tries = 0
  for (let at = 0; at < bytes.length && tries < 1_000;) {
    try {
      at += writeSync(descriptor, bytes, at)
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EAGAIN') return
      // The reader is behind. Waiting here is what a blocking pipe would do, but with an end.
      tries += 1
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

function encodingOf(value: unknown): BufferEncoding {
  return typeof value === 'string' && Buffer.isEncoding(value) ? value : 'utf8'
}
