import type { Readable, Writable } from 'node:stream'
import type { ByteReceiver, ByteStream } from './byte-stream.ts'

/** How much is taken from the input before some of it is done with. */
const windowBytes = 1024 * 1024
/** How much waits for the output before the session is told to wait. */
const outputBytes = 512 * 1024

/** An SFTP stream over Node's: pipes, sockets, standard input and output. `onEnd` gets the exit status. */
export function createNodeStream(
  input: Readable,
  output: Writable,
  onEnd: (exitStatus: number) => void,
): ByteStream {
  let unconsumed = 0
  let queued = 0
  let full = false
  let over = false
  let receiver: ByteReceiver | undefined

  const closed = (): void => {
    if (over) return
    over = true
    receiver?.closed()
  }
  const written = (bytes: number, sent: (() => void) | undefined): void => {
    queued -= bytes
    sent?.()
    if (!full || queued > outputBytes / 2) return
    full = false
    receiver?.room()
  }

  return {
    copies: false,
    get queuedBytes() {
      return queued
    },
    start(to) {
      receiver = to
      input.on('data', (bytes: Buffer) => {
        unconsumed += bytes.length
        if (unconsumed >= windowBytes) input.pause()
        to.data(bytes)
      })
      input.on('end', () => to.ended())
      // A peer that is gone is an end like any other: EPIPE, ECONNRESET.
      input.on('error', closed)
      input.on('close', () => to.ended())
      output.on('error', closed)
      output.on('close', closed)
    },
    send(bytes, sent) {
      if (over) return true
      queued += bytes.length
      output.write(bytes, () => written(bytes.length, sent))
      if (queued < outputBytes) return true
      full = true
      return false
    },
    consumed(bytes) {
      unconsumed -= bytes
      if (unconsumed < windowBytes && input.isPaused()) input.resume()
    },
    end(exitStatus) {
      if (over) return
      over = true
      input.pause()
      output.end(() => onEnd(exitStatus))
    },
  }
}
