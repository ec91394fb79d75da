import type { Socket } from 'node:net'

/** Longest line taken: a whole dump of accounts fits, an endless one does not. */
const longestLine = 64 * 1024 * 1024

/** Calls `onLine` with each line of JSON; a peer that sends something else is cut off. */
export function readJsonLines(socket: Socket, onLine: (value: unknown) => void): void {
  let pending: Buffer[] = []
  let length = 0
  socket.on('data', (chunk: Buffer) => {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      pending.push(chunk.subarray(from, at))
      const line = Buffer.concat(pending).toString('utf8')
      pending = []
      length = 0
      from = at + 1
      try {
        onLine(JSON.parse(line))
      } catch {
        socket.destroy()
        return
      }
    }
    pending.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > longestLine) socket.destroy()
  })
}

/** Sends one value as a line. False when the peer reads too slowly: wait for `drain`. */
export function writeJsonLine(socket: Socket, value: unknown): boolean {
  if (socket.destroyed || socket.writableEnded) return true
  return socket.write(`${JSON.stringify(value)}\n`)
}
