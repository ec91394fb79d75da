import { createConnection, createServer, type AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { readInto } from '../../src/ssh/read-into.ts'
import { createReadPool, ReadMemory, readSlabBytes, type StillNeeded } from '../../src/ssh/read-memory.ts'

const session = {}
const bulk = 64 * 1024

/** A connection that has received its first bulk and reads into a slab of its own. */
function busyReader(): { readonly memory: ReadMemory; readonly needs: (tail: number) => StillNeeded } {
  const memory = new ReadMemory(createReadPool(4))
  let given = 0
  memory.next(true, undefined)
  memory.received(bulk, false)
  return { memory, needs: (tail) => ({ by: session, given: (given += bulk), tail, partOfPacket: false }) }
}

it('reads few bytes into memory that connections share, and copies them out of it', () => {
  const pool = createReadPool(4)
  const [one, other] = [new ReadMemory(pool), new ReadMemory(pool)]
  one.next(true, undefined).write('first')
  const bytes = one.received(5, false)
  other.next(true, undefined).write('other')
  expect(bytes.toString()).toBe('first')
  expect(other.received(5, true).toString()).toBe('other')
})

it('reads into the same memory again once nothing in it is needed', () => {
  const { memory, needs } = busyReader()
  const first = memory.next(true, needs(0))
  memory.received(bulk, false)
  expect(memory.next(true, needs(0)).byteOffset).toBe(first.byteOffset)
})

it('keeps every byte that is still looked at as it is', () => {
  const { memory, needs } = busyReader()
  const kept: Buffer[] = []
  let into = memory.next(true, needs(0))
  // Half of what came is needed at every moment, over four slabs.
  for (let read = 1; read <= (4 * readSlabBytes) / bulk; read += 1) {
    into.fill(read, 0, bulk)
    kept.push(memory.received(bulk, false))
    if (kept.length > 6) kept.shift()
    into = memory.next(true, needs(6 * bulk))
    const values = kept.map((bytes) => bytes.every((byte) => byte === bytes[0]) && bytes[0])
    expect(values).toEqual(kept.map((_, index) => read - kept.length + 1 + index))
  }
})

it('keeps a packet whose end has not arrived, also into the next slab', () => {
  const { memory, needs } = busyReader()
  let into = memory.next(true, needs(0))
  for (let read = 1; into.byteLength > readSlabBytes - 6 * bulk; read += 1) {
    into.fill(read, 0, bulk)
    const bytes = memory.received(bulk, false)
    into = memory.next(true, { ...needs(0), partOfPacket: true })
    into.fill(0)
    expect(bytes.every((byte) => byte === read)).toBe(true)
  }
})

it('uses no memory again of which nobody can tell who looks at it', () => {
  const { memory, needs } = busyReader()
  const first = memory.next(true, needs(0))
  first.fill(7, 0, bulk)
  const bytes = memory.received(bulk, false)
  for (let read = 0; read < 20; read += 1) {
    memory.next(true, undefined).fill(8)
    memory.received(bulk, false)
  }
  expect(bytes.every((byte) => byte === 7)).toBe(true)
})

it('gives its memory back when a connection has little to say again', () => {
  const pool = createReadPool(4)
  const memory = new ReadMemory(pool)
  memory.next(true, undefined)
  memory.received(bulk, false)
  const own = memory.next(true, { by: session, given: bulk, tail: 0, partOfPacket: false })
  memory.received(100, false)
  expect(memory.next(true, { by: session, given: bulk + 100, tail: 0, partOfPacket: false })).toBe(
    pool.shared,
  )
  expect(pool.take()).toBe(own)
})

it('makes an accepted socket read where we say', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      const memory = Buffer.alloc(4)
      let said = ''
      const own = readInto(socket, {
        next: () => memory,
        received: (length) => (said += `${memory.toString('latin1', 0, length)}|`),
      })
      if (!own) reject(new Error('This Node has no way to do so'))
      socket.on('close', () => server.close(() => resolve(said)))
      socket.resume()
    })
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo // it listens on TCP
      createConnection(port, '127.0.0.1').end('0123456789')
    })
  })
  expect(text).toBe('0123|4567|89|')
})
