import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'

/** A debugger that is attached to a process of Node. */
export interface DebuggerClient extends AsyncDisposable {
  /** Sends a command of the inspector's protocol and waits for its answer. */
  send(method: string): Promise<void>
  /** How often an event of this name came. */
  heard(event: string): number
}

/** Attaches to an address such as `ws://127.0.0.1:9229/UUID`, with the few frames of RFC 6455 that the inspector uses. */
export async function attachDebugger(address: string): Promise<DebuggerClient> {
  const socket = await upgraded(address)
  const events: string[] = []
  const waiting = new Map<number, () => void>()
  let count = 0
  let buffered = Buffer.alloc(0)
  socket.on('data', (bytes: Buffer) => {
    buffered = Buffer.concat([buffered, bytes])
    for (;;) {
      const frame = firstFrame(buffered)
      if (frame === undefined) return
      buffered = buffered.subarray(frame.bytes)
      const message = JSON.parse(frame.text) as { readonly id?: number; readonly method?: string } // the protocol's own
      if (message.method !== undefined) events.push(message.method)
      if (message.id !== undefined) waiting.get(message.id)?.()
    }
  })
  return {
    send(method) {
      count += 1
      const id = count
      const answered = new Promise<void>((settle) => waiting.set(id, settle))
      socket.write(masked(JSON.stringify({ id, method })))
      return answered
    },
    heard: (event) => events.filter((name) => name === event).length,
    async [Symbol.asyncDispose]() {
      socket.destroy()
    },
  }
}

function upgraded(address: string): Promise<Duplex> {
  const { hostname: host, port, pathname: path } = new URL(address)
  return new Promise((settle, reject) => {
    const headers = {
      ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
      'sec-websocket-key': randomBytes(16).toString('base64'),
    }
    request({ host, port, path, headers })
      .once('upgrade', (_response, socket) => settle(socket))
      .once('error', reject)
      .end()
  })
}

/** A short text as a client sends it. */
function masked(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > 125) throw new Error('Only short commands are sent here')
  const mask = randomBytes(4)
  const body = bytes.map((byte, index) => byte ^ (mask[index % 4] ?? 0))
  return Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length]), mask, body])
}

/** The first whole frame of a server, which masks nothing. */
function firstFrame(buffer: Buffer): { readonly text: string; readonly bytes: number } | undefined {
  if (buffer.length < 2) return undefined
  const short = (buffer[1] ?? 0) & 0x7f
  const head = short === 126 ? 4 : short === 127 ? 10 : 2
  if (buffer.length < head) return undefined
  const length =
    short === 126 ? buffer.readUInt16BE(2) : short === 127 ? Number(buffer.readBigUInt64BE(2)) : short
  if (buffer.length < head + length) return undefined
  return { text: buffer.toString('utf8', head, head + length), bytes: head + length }
}
