import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createSocketSender, type SocketSender } from '../../src/native/socket-sender.ts'
import { createPacketPool, slabBytes, type PacketPool } from '../../src/ssh/packet-pool.ts'
import { SocketOutput } from '../../src/ssh/socket-output.ts'

const atOnce = createSocketSender()
const ways: readonly (readonly [name: string, sender: SocketSender | undefined])[] = [
  ["through Node's streams", undefined],
  ...(atOnce === undefined ? [] : [['past them', atOnce] as const]),
]

describe.each(ways)('output %s', (_, sender) => {
  it('arrives in order, whatever was made in its room and whatever was copied there', async () => {
    await using pair = await connectedPair()
    const output = new SocketOutput({ socket: pair.server, pool: createPacketPool(4), sender, drained() {} })
    const expected: Buffer[] = []
    for (let index = 0; index < 2000; index += 1) {
      const bytes = Buffer.alloc(1 + ((index * 7919) % 40_000), index)
      if (index % 3 === 0) output.write(bytes)
      else {
        const room = output.allocate(bytes.length)
        room.set(bytes)
        output.write(room)
      }
      expected.push(bytes)
      if (index % 10 === 9) output.flush()
    }
    output.flushAll()
    pair.server.end()
    expect(Buffer.concat(expected).equals(await everythingFrom(pair.client))).toBe(true)
  })

  it('takes more in one piece than its memory holds', async () => {
    await using pair = await connectedPair()
    const output = new SocketOutput({ socket: pair.server, pool: createPacketPool(1), sender, drained() {} })
    const large = Buffer.alloc(3 * slabBytes, 7)
    output.write(Buffer.from('before '))
    output.write(large)
    output.write(Buffer.from(' after'))
    output.flushAll()
    pair.server.end()
    const arrived = await everythingFrom(pair.client)
    expect(arrived.equals(Buffer.concat([Buffer.from('before '), large, Buffer.from(' after')]))).toBe(true)
  })

  it('counts what a client has not read, and holds no slab for a few bytes of it', async () => {
    await using pair = await connectedPair()
    const { pool, lent } = countingPool()
    const output = new SocketOutput({ socket: pair.server, pool, sender, drained() {} })
    output.thrifty = false
    // The kernel's buffers take some megabytes; after that everything waits here.
    for (let sent = 0; output.backlog < 1024 * 1024 && sent < 200; sent += 1) {
      output.write(Buffer.alloc(64 * 1024, 1))
      output.flush()
    }
    expect(output.backlog).toBeGreaterThanOrEqual(1024 * 1024)
    const held = lent.size
    for (let index = 0; index < 100; index += 1) {
      output.write(Buffer.alloc(100, 2))
      output.flush()
    }
    expect(lent.size).toBe(held)
    pair.client.resume()
    await eventually(() => output.backlog === 0)
    expect(lent.size).toBe(0)
  })

  it('holds no slab at all for a stranger who does not read', async () => {
    await using pair = await connectedPair()
    const { pool, lent } = countingPool()
    const output = new SocketOutput({ socket: pair.server, pool, sender, drained() {} })
    for (let sent = 0; output.backlog < 64 * 1024 && sent < 10_000; sent += 1) {
      output.write(Buffer.alloc(1024, 1))
      output.flush()
    }
    expect(output.backlog).toBeGreaterThanOrEqual(64 * 1024)
    expect(lent.size).toBe(0)
  })

  it('says nothing on a socket that is gone', async () => {
    await using pair = await connectedPair()
    pair.server.on('error', () => {})
    const output = new SocketOutput({ socket: pair.server, pool: createPacketPool(1), sender, drained() {} })
    pair.server.destroy()
    output.write(Buffer.from('nobody'))
    expect(() => output.flush()).not.toThrow()
    expect(await everythingFrom(pair.client)).toHaveLength(0)
  })
})

/** A pool that keeps nothing, and what of it is lent. */
function countingPool(): { readonly pool: PacketPool; readonly lent: ReadonlySet<object> } {
  const lent = new Set<object>()
  const pool = createPacketPool(0)
  const take = (): ReturnType<PacketPool['take']> => {
    const slab = pool.take()
    lent.add(slab)
    return slab
  }
  return { pool: { ...pool, take, give: (slab) => void lent.delete(slab) }, lent }
}

async function connectedPair(): Promise<{ server: Socket; client: Socket } & AsyncDisposable> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const accepted = once(listener, 'connection')
  // A port is there: it listens on TCP.
  const client = connect((listener.address() as { port: number }).port, '127.0.0.1')
  client.pause()
  const [server] = (await accepted) as [Socket]
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      server.destroy()
      client.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

async function everythingFrom(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

async function eventually(holds: () => boolean): Promise<void> {
  for (let waited = 0; waited < 10_000 && !holds(); waited += 10)
    await new Promise((resolve) => setTimeout(resolve, 10))
  expect(holds()).toBe(true)
}
