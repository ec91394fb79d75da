import { framesOf, Http2Fault, kinds, longestPayload } from './frames.ts'

/** The settings we speak of or heed (RFC 9113, section 6.5.2). */
export const settings = {
  tableSize: 1,
  push: 2,
  mostStreams: 3,
  firstWindow: 4,
  longestPayload: 5,
  longestList: 6,
} as const

/** A window until a side says otherwise, and the largest there is. */
export const defaultWindow = 65_535
export const largestWindow = 0x7fffffff

/** What a side may make the other remember of its fields until that one says otherwise. */
export const defaultTableBytes = 4_096

/** So much of one stream's body we take before its reader has read it, and so much of all before it is given back. */
export const streamWindow = 1 << 20
export const connectionWindow = 4 << 20

/** The longest block of fields. */
export const longestBlock = 64 * 1024

/** So many questions are served at once. */
export const mostServed = 1_024

/** What we say first, as the side that asks or as the one that answers. */
export function settingsFrame(side: 'asking' | 'answering'): Buffer {
  const said: readonly (readonly [number, number])[] = [
    [settings.firstWindow, streamWindow],
    [settings.longestList, longestBlock],
    side === 'asking' ? [settings.push, 0] : [settings.mostStreams, mostServed],
  ]
  const payload = Buffer.allocUnsafe(said.length * 6)
  said.forEach(([name, value], index) => {
    payload.writeUInt16BE(name, index * 6)
    payload.writeUInt32BE(value, index * 6 + 2)
  })
  return framesOf(0, { kind: kinds.settings, payload })
}

/** What the other side says. Throws `Http2Fault` for values that it cannot have. */
export function* readSettings(payload: Buffer): Generator<readonly [name: number, value: number]> {
  if (payload.length % 6 !== 0) throw new Http2Fault('frameSize', 'Settings are cut')
  for (let at = 0; at < payload.length; at += 6) {
    const name = payload.readUInt16BE(at)
    const value = payload.readUInt32BE(at + 2)
    if (name === settings.firstWindow && value > largestWindow)
      throw new Http2Fault('flowControl', 'A window is too large')
    if (name === settings.longestPayload && (value < longestPayload || value > 0xffffff))
      throw new Http2Fault('protocol', 'The length of a frame is none')
    yield [name, value]
  }
}
