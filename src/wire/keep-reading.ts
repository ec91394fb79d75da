import type { Socket } from 'node:net'

/**
 * Has a connection over TLS learn of its end within a second, whatever was under way when its other side was killed.
 *
 * Node 20 does not: a write that fails at once stays "in progress" inside its TLS, HTTP/2 reads nothing while it writes,
 * and so nobody ever reads the end. Two writes in one turn do it, such as the credit that is given back while data that
 * arrived before are read. To be asked to read is nothing to a socket that does. Newer versions do not need it.
 */
export function keepReading(socket: Socket): void {
  const timer = setInterval(() => {
    // The handle has no public door; a Node where it is called otherwise is left alone.
    const { _handle: handle } = socket as unknown as { readonly _handle?: ReadableHandle | null }
    handle?.readStart?.()
  }, readAgainMs)
  timer.unref()
  socket.once('close', () => clearInterval(timer))
}

const readAgainMs = 1_000

interface ReadableHandle {
  readonly readStart?: () => unknown
}
