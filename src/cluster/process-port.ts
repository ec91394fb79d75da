import type { ChildProcess } from 'node:child_process'
import type { Frame, FramePort } from './link.ts'

/** What a worker says first. A message that comes before its program listens would be lost: Node reads it for nobody. */
const listening = 'listening'

/** The port of a primary to one of its workers: what is sent to it waits until it listens. */
export function portToWorker(worker: ChildProcess): FramePort {
  let waiting: (() => void)[] | undefined = []
  const send = (frames: readonly Frame[], sent: () => void): void => {
    if (!worker.connected) return sent()
    worker.send([...frames], undefined, {}, () => sent())
  }
  return {
    send(frames, sent) {
      if (waiting === undefined) send(frames, sent)
      else waiting.push(() => send(frames, sent))
    },
    receive(listener) {
      worker.on('message', (message) => {
        if (message !== listening) return listener(message)
        const first = waiting ?? []
        waiting = undefined
        for (const action of first) action()
      })
    },
  }
}

/** The port of this process to the primary that forked it. */
export function portToPrimary(): FramePort {
  return {
    send(frames, sent) {
      if (!process.connected || process.send === undefined) return sent()
      process.send(frames, undefined, {}, () => sent())
    },
    receive(listener) {
      process.on('message', listener)
      process.send?.(listening)
    },
  }
}
