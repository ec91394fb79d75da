import { once } from 'node:events'
import { connect, Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { message } from '../../src/ssh/messages.ts'
import { buildMessage, Fields } from '../../src/ssh/wire.ts'
import { manualClock } from '../helpers/manual-clock.ts'
import { RawClient } from './raw-client.ts'
import { eventually, startTestServer, type TestServer } from './test-server.ts'

/** A connection that is no SSH client. */
class Stranger implements AsyncDisposable {
  readonly socket: Socket
  received = Buffer.alloc(0)
  ended = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('data', (bytes) => (this.received = Buffer.concat([this.received, bytes])))
    socket.on('close', () => (this.ended = true))
  }

  static async connect(port: number, first = '', localAddress = '127.0.0.1'): Promise<Stranger> {
    const socket = connect({ port, host: '127.0.0.1', localAddress })
    await once(socket, 'connect')
    if (first !== '') socket.write(first)
    return new Stranger(socket)
  }

  async greeted(): Promise<this> {
    await eventually(() => this.received.includes('\r\n') || this.ended)
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    await eventually(() => this.ended)
  }
}

describe('before the login', () => {
  it('nobody has longer than the grace time, whatever they send meanwhile (S-20)', async () => {
    const clock = manualClock()
    await using test = await startTestServer({ clock, loginGraceMs: 10_000 })
    await using silent = await (await Stranger.connect(test.port)).greeted()
    await using named = await (await Stranger.connect(test.port, 'SSH-2.0-x\r\n')).greeted()
    await using trickling = await (await Stranger.connect(test.port, 'SSH-2.0-')).greeted()
    await using waiting = await RawClient.open({ port: test.port })
    waiting.startLogin()
    await waiting.next(message.serviceAccept)
    await using guest = await RawClient.login({ port: test.port })
    for (let second = 0; second < 10; second += 1) {
      trickling.socket.write('x')
      waiting.send(buildMessage(message.ignore, 'still here'))
      clock.advance(1000)
    }
    expect([silent.ended, named.ended, trickling.ended, waiting.ended]).toEqual([false, false, false, false])
    clock.advance(1000)
    await eventually(() => silent.ended && named.ended && trickling.ended && waiting.ended)
    expect(waiting.goodbye?.text).toBe('Login grace time is over')
    expect(guest.ended).toBe(false)
    await eventually(() => test.server.connections().length === 1)
  })

  it('a first line of something else ends the connection at once', async () => {
    await using test = await startTestServer()
    for (const first of ['GET / HTTP/1.1\r\n', 'SSH-1.5-old\r\n', '\x16\x03\x01', 'x'.repeat(4096)]) {
      await using stranger = await Stranger.connect(test.port, first)
      await eventually(() => stranger.ended, 1000)
      expect(test.events).toEqual([])
    }
    await using old = await (await Stranger.connect(test.port, 'SSH-1.99-both\r\n')).greeted()
    expect(old.ended).toBe(false)
  })

  it('five hundred silent and 250 trickling connections cost little, and a login beside them takes no longer', async () => {
    await using test = await startTestServer({ loginGraceMs: 3000 })
    const alone = Math.min(await loginMs(test), await loginMs(test), await loginMs(test))
    const before = process.memoryUsage().rss
    const strangers = await inBatches(750, (index) =>
      Stranger.connect(test.port, index < 500 ? '' : 'SSH-2.0-x'),
    )
    const trickle = setInterval(() => {
      for (const { socket } of strangers.slice(500)) socket.write('x')
    }, 100)
    // Both ends live in this process, so this is twice what a server pays.
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
    // The quickest of three: this machine may be busy with other things.
    const beside = Math.min(await loginMs(test), await loginMs(test), await loginMs(test))
    expect(beside).toBeLessThan(Math.max(200, alone * 5))
    await using guest = await RawClient.login({ port: test.port })
    expect(guest.ended).toBe(false)
    await eventually(() => strangers.every(({ ended }) => ended), 8000)
    clearInterval(trickle)
    expect(test.server.connections()).toHaveLength(1)
  })

  it('one address holds so many places and no more; who got further keeps theirs (S-23)', async () => {
    await using test = await startTestServer({ maxPerAddress: 20 })
    await using waiting = await RawClient.open({ port: test.port })
    waiting.startLogin()
    await waiting.next(message.serviceAccept)
    const strangers = await inBatches(200, () => Stranger.connect(test.port))
    await eventually(() => test.server.connections().length <= 20)
    expect(waiting.ended).toBe(false)
    waiting.sendPassword('ada', 'engine')
    await waiting.next(message.userauthSuccess)
    await using other = await Stranger.connect(test.port, '', '127.0.0.2')
    await other.greeted()
    expect(other.ended).toBe(false)
    await Promise.all(strangers.map((stranger) => stranger[Symbol.asyncDispose]()))
  })

  it('an address with more connections than it may have is told of, to count against it', async () => {
    await using test = await startTestServer({ maxPerAddress: 1 })
    await using guest = await RawClient.open({ port: test.port })
    guest.startLogin()
    await guest.next(message.serviceAccept)
    guest.sendPassword('ada', 'engine')
    await guest.next(message.userauthSuccess)
    await using stranger = await Stranger.connect(test.port)
    await eventually(() => stranger.ended)
    expect(test.asked).toContainEqual({ what: 'exceeded', address: '127.0.0.1' })
  })

  it('the address is asked about before the first byte is sent, and a refused one hears nothing', async () => {
    const admitted: string[] = []
    await using test = await startTestServer({
      authority: {
        async admit(address) {
          admitted.push(address)
          return { admitted: false, reason: 'banned' }
        },
        exceeded() {},
        begin: () => {
          throw new Error('never')
        },
      },
    })
    await using stranger = await Stranger.connect(test.port, 'SSH-2.0-x\r\n')
    await eventually(() => stranger.ended)
    expect(stranger.received).toHaveLength(0)
    expect(admitted).toEqual(['127.0.0.1'])
  })

  it('an address that cannot be checked is not let in', async () => {
    await using test = await startTestServer({
      authority: {
        admit: () => Promise.reject(new Error('The filter is down')),
        exceeded() {},
        begin: () => {
          throw new Error('never')
        },
      },
    })
    await using stranger = await Stranger.connect(test.port)
    await eventually(() => stranger.ended)
    expect(stranger.received).toHaveLength(0)
  })

  it('a second key exchange ends the connection (S-12)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.transport.rekey()
    await client.untilEnded()
    expect(client.goodbye?.reason).toBe(2)
    await eventually(() => test.server.connections().length === 0)
  })

  it('nobody is answered late for small packets to be gathered (setNoDelay)', async () => {
    // Not to be seen from outside on the loopback interface; without it uploads take five times as long.
    const told = vi.spyOn(Socket.prototype, 'setNoDelay')
    try {
      await using test = await startTestServer()
      await using stranger = await (await Stranger.connect(test.port)).greeted()
      expect(stranger.received.toString('latin1')).toMatch(/^SSH-2\.0-/)
      expect(told.mock.calls).toEqual([[true]])
    } finally {
      told.mockRestore()
    }
  })

  it('the server offers no compression, whatever the profile (S-16)', async () => {
    for (const profile of ['modern', 'strict', 'legacy'] as const) {
      await using test = await startTestServer({ algorithms: { profile } })
      await using stranger = await Stranger.connect(test.port, 'SSH-2.0-x\r\n')
      const end = (): number => stranger.received.indexOf('\r\n') + 2
      await eventually(() => end() > 1 && stranger.received.length > end() + 200)
      const lists = new Fields(stranger.received, end() + 5 + 17)
      const names = Array.from({ length: 8 }, () => lists.name())
      expect(names[0]).toContain('mlkem768x25519-sha256')
      expect(names.slice(6)).toEqual(['none', 'none'])
    }
  })

  it('fillers inside a key exchange end it: at once where it is strict, soon where it is not (S-1, S-12)', async () => {
    await using test = await startTestServer()
    for (const [count, strict] of [
      [1, true],
      [200, false],
    ] as const) {
      await using stranger = await (await Stranger.connect(test.port, 'SSH-2.0-x\r\n')).greeted()
      if (strict) stranger.socket.write(clearPacket(kexInit(true)))
      for (let sent = 0; sent < count; sent += 1)
        stranger.socket.write(clearPacket(buildMessage(message.ignore, 'x'.repeat(100))))
      await eventually(() => stranger.ended)
    }
  })

  it('messages after the exchange that nobody reads the answers of are bounded (S-12)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.socket.pause()
    const before = process.memoryUsage().rss
    const ping = buildMessage(message.ping, 'x'.repeat(30_000))
    for (let sent = 0; sent < 1000 && !client.socket.destroyed; sent += 1) {
      client.send(ping)
      if (sent % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually(() => test.server.connections().length === 0)
    expect(process.memoryUsage().rss - before).toBeLessThan(80 * 1024 * 1024) // 30 MB of it are the client's
  })

  it('broken packets end their connection and nothing else', async () => {
    await using test = await startTestServer()
    for (const bytes of [
      Buffer.alloc(64),
      Buffer.alloc(64, 0xff),
      Buffer.from('0000000c0a14', 'hex'),
      clearPacket(Buffer.of(20)),
      clearPacket(Buffer.concat([Buffer.of(20), Buffer.alloc(16), Buffer.alloc(40, 0xff)])),
      clearPacket(kexInit(false, 'no-such-exchange')),
      Buffer.concat([clearPacket(kexInit(false)), clearPacket(buildMessage(30, Buffer.alloc(0)))]),
      Buffer.concat([clearPacket(kexInit(false)), clearPacket(buildMessage(30, Buffer.alloc(32)))]),
      Buffer.concat([clearPacket(kexInit(false)), clearPacket(kexInit(false))]),
      Buffer.concat([clearPacket(kexInit(false)), clearPacket(Buffer.of(21))]),
      Buffer.concat([
        clearPacket(kexInit(false, 'mlkem768x25519-sha256')),
        clearPacket(buildMessage(30, 'x')),
      ]),
      Buffer.concat([
        clearPacket(kexInit(false, 'mlkem768x25519-sha256')),
        clearPacket(buildMessage(30, Buffer.alloc(1216, 0xff))),
      ]),
    ]) {
      await using stranger = await (await Stranger.connect(test.port, 'SSH-2.0-x\r\n')).greeted()
      stranger.socket.write(bytes)
      if (!stranger.ended) stranger.socket.end()
      await eventually(() => stranger.ended)
    }
    await using client = await RawClient.login({ port: test.port })
    expect(client.ended).toBe(false)
    expect(test.events.some(({ event }) => event === 4)).toBe(true)
  })

  it('somebody who never tried to log in is an event, with no name', async () => {
    await using test = await startTestServer()
    const client = await RawClient.open({ port: test.port })
    await client[Symbol.asyncDispose]()
    await eventually(() => test.events.length === 1)
    expect(test.events[0]).toMatchObject({ event: 3, username: '', protocol: 'SSH', address: '127.0.0.1' })
  })
})

describe('after the login', () => {
  it('a client without requests is sent away after the idle time, keepalives or not (C-94)', async () => {
    const clock = manualClock()
    await using test = await startTestServer({ clock, idleMs: 60_000, keepaliveMs: 0 })
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    for (let second = 0; second < 50; second += 10) {
      client.send(buildMessage(message.globalRequest, 'keepalive@openssh.com', true))
      await client.next(message.requestFailure)
      clock.advance(10_000)
    }
    client.send(buildMessage(message.channelData, theirs, 'a request'))
    await client.next(message.channelData)
    clock.advance(50_000)
    expect(client.ended).toBe(false)
    clock.advance(15_000)
    await client.untilEnded()
    expect(client.goodbye).toEqual({ reason: 11, text: 'Idle for too long' })
  })

  it('a session whose storage works for long is not idle', async () => {
    const clock = manualClock()
    await using test = await startTestServer({
      clock,
      idleMs: 60_000,
      keepaliveMs: 0,
      echo: { hold: () => true },
    })
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    client.send(buildMessage(message.channelData, theirs, 'a long request'))
    await eventually(() => test.sessions[0]?.outstanding === 1)
    for (let minute = 0; minute < 5; minute += 1) clock.advance(60_000)
    expect(client.ended).toBe(false)
  })

  it('a silent peer is asked three times and then given up', async () => {
    const clock = manualClock()
    await using test = await startTestServer({ clock, keepaliveMs: 10_000, idleMs: 0 })
    await using client = await RawClient.login({ port: test.port })
    clock.advance(10_500)
    await client.next(message.globalRequest) // the host keys
    await client.next(message.globalRequest)
    client.send(buildMessage(message.requestFailure))
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (let second = 0; second < 38; second += 1) clock.advance(1000)
    expect(client.ended).toBe(false)
    clock.advance(4000)
    await client.untilEnded()
    expect(client.goodbye).toBeUndefined()
  })

  it('peers that are asked in the same moment hold no memory for it (F-22)', async () => {
    const clock = manualClock()
    await using test = await startTestServer({ clock, keepaliveMs: 10_000, idleMs: 0 })
    const clients = await Promise.all(Array.from({ length: 32 }, () => RawClient.login({ port: test.port })))
    await Promise.all(clients.map((client) => client.next(message.globalRequest))) // the host keys
    const before = process.memoryUsage().arrayBuffers
    clock.advance(10_500)
    // A slab for each would be nine.
    expect((process.memoryUsage().arrayBuffers - before) / 2 ** 20).toBeLessThan(1)
    await Promise.all(clients.map((client) => client.next(message.globalRequest)))
    for (const client of clients) await client[Symbol.asyncDispose]()
  })

  it('a key exchange that the client never finishes ends after two minutes, with little held (S-13)', async () => {
    const clock = manualClock()
    await using test = await startTestServer({ clock, keepaliveMs: 0 })
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    client.send(buildMessage(message.channelData, theirs, Buffer.alloc(32_768)))
    await client.next(message.channelData)
    // Our KEXINIT leaves; of everything after it nothing does, whatever the server answers.
    client.transport.rekey()
    client.socket.removeAllListeners('data')
    client.socket.resume()
    await new Promise((resolve) => setTimeout(resolve, 50))
    clock.advance(119_000)
    expect(client.ended).toBe(false)
    expect(test.sessions[0]?.stream.queuedBytes).toBeLessThan(4096)
    clock.advance(3000)
    await client.untilEnded()
  })

  it('keys are exchanged anew every hour', async () => {
    const clock = manualClock()
    await using test = await startTestServer({ clock, keepaliveMs: 0, idleMs: 0 })
    await using client = await RawClient.login({ port: test.port })
    clock.advance(3_599_000)
    expect(client.exchanges).toBe(1)
    clock.advance(2000)
    await client.until(() => client.exchanges === 2)
  })

  it('answers that nobody reads are bounded: the client is read no further', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    client.socket.pause()
    const ping = buildMessage(message.ping, 'x'.repeat(30_000))
    for (let sent = 0; sent < 600; sent += 1) client.send(ping)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(test.server.connections()).toHaveLength(1)
    client.socket.resume()
    await client.until(() => client.heardTypes().filter((type) => type === message.pong).length === 600)
  })
})

describe('the server', () => {
  it('disconnects by name, with a word', async () => {
    await using test = await startTestServer()
    await using ada = await RawClient.login({ port: test.port })
    await using bob = await RawClient.login({ port: test.port }, 'bob')
    expect(test.server.disconnect(({ username }) => username === 'ada', 'Account disabled')).toBe(1)
    await ada.untilEnded()
    expect(ada.goodbye).toEqual({ reason: 11, text: 'Account disabled' })
    expect(bob.ended).toBe(false)
  })

  it('lets what is under way finish before it closes', async () => {
    let hold = true
    const test = await startTestServer({ echo: { hold: () => hold } })
    await using idle = await RawClient.login({ port: test.port })
    await using busy = await RawClient.login({ port: test.port })
    const theirs = await busy.openSftp()
    busy.send(buildMessage(message.channelData, theirs, 'a request'))
    await eventually(() => test.sessions[0]?.outstanding === 1)
    const closed = test.server.close(5000)
    await idle.untilEnded()
    expect(idle.goodbye?.text).toBe('The server is going down')
    expect(busy.ended).toBe(false)
    await expect(Stranger.connect(test.port)).rejects.toThrow('ECONNREFUSED')
    hold = false
    test.sessions[0]?.pump()
    await busy.next(message.channelData)
    await busy.untilEnded()
    await closed
  })

  it('closes in time although somebody is never done', async () => {
    const test = await startTestServer({ echo: { hold: () => true } })
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    client.send(buildMessage(message.channelData, theirs, 'a request'))
    await eventually(() => test.sessions[0]?.outstanding === 1)
    const start = performance.now()
    await test.server.close(100)
    expect(performance.now() - start).toBeLessThan(3000)
  })

  it('says when its port is taken', async () => {
    await using test = await startTestServer()
    await expect(
      startTestServer({ bindings: [{ address: '127.0.0.1', port: test.port }] }),
    ).rejects.toMatchObject({ code: 'address-in-use' })
  })
})

describe('behind a proxy', () => {
  const header = 'PROXY TCP4 192.0.2.7 198.51.100.1 50000 22\r\n'

  it('the address is the one that a believed proxy says', async () => {
    await using test = await startTestServer({ proxy: { mode: 2, allowed: ['127.0.0.0/8'], skipped: [] } })
    await using client = await (await Stranger.connect(test.port, `${header}SSH-2.0-x\r\n`)).greeted()
    expect(admitted(test)).toEqual(['192.0.2.7'])
    expect(client.received.toString('latin1')).toMatch(/^SSH-2\.0-/)
    expect(test.server.connections()).toMatchObject([{ address: '192.0.2.7' }])
  })

  it('a header from elsewhere is read and not believed, or its sender may not connect', async () => {
    await using optional = await startTestServer({ proxy: { mode: 1, allowed: ['10.0.0.0/8'], skipped: [] } })
    await using client = await (await Stranger.connect(optional.port, `${header}SSH-2.0-x\r\n`)).greeted()
    expect(admitted(optional)).toEqual(['127.0.0.1'])
    expect(client.ended).toBe(false)
    await using required = await startTestServer({ proxy: { mode: 2, allowed: [], skipped: [] } })
    await using refused = await Stranger.connect(required.port, `${header}SSH-2.0-x\r\n`)
    await eventually(() => refused.ended)
    expect(admitted(required)).toEqual([])
  })

  it('an optional header may be missing, also for a client that waits for our first line', async () => {
    await using test = await startTestServer({ proxy: { mode: 1, allowed: ['127.0.0.1'], skipped: [] } })
    await using eager = await (await Stranger.connect(test.port, 'SSH-2.0-x\r\n')).greeted()
    await using patient = await (await Stranger.connect(test.port)).greeted()
    expect([eager.ended, patient.ended]).toEqual([false, false])
    expect(admitted(test)).toEqual(['127.0.0.1', '127.0.0.1'])
  })

  it('networks that are skipped connect without a header, and bindings may do without', async () => {
    await using skipped = await startTestServer({
      proxy: { mode: 2, allowed: ['10.0.0.0/8'], skipped: ['127.0.0.1'] },
    })
    await using one = await (await Stranger.connect(skipped.port)).greeted()
    expect(one.ended).toBe(false)
    await using plain = await startTestServer({
      bindings: [{ address: '127.0.0.1', port: 0, applyProxy: false }],
      proxy: { mode: 2, allowed: [], skipped: [] },
    })
    await using two = await (await Stranger.connect(plain.port)).greeted()
    expect(two.ended).toBe(false)
  })

  it('a required header that is missing, wrong or late ends the connection', async () => {
    const clock = manualClock()
    await using test = await startTestServer({
      clock,
      proxy: { mode: 2, allowed: ['127.0.0.1'], skipped: [] },
    })
    await using none = await Stranger.connect(test.port, 'SSH-2.0-x\r\n')
    await eventually(() => none.ended)
    await using wrong = await Stranger.connect(test.port, 'PROXY TCP4 x y z\r\n')
    await eventually(() => wrong.ended)
    await using late = await Stranger.connect(test.port, 'PROXY TCP4 ')
    await eventually(() => test.server.connections().length === 1)
    clock.advance(11_000)
    await eventually(() => late.ended)
    expect(admitted(test)).toEqual([])
  })
})

async function loginMs({ port }: TestServer): Promise<number> {
  const start = performance.now()
  await using client = await RawClient.login({ port })
  expect(client.ended).toBe(false)
  return performance.now() - start
}

function admitted(test: TestServer): string[] {
  return test.asked.flatMap((asked) => (asked.what === 'admit' ? [asked.address] : []))
}

async function inBatches<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  while (made.length < count) {
    const size = Math.min(50, count - made.length)
    made.push(...(await Promise.all(Array.from({ length: size }, (_, index) => make(made.length + index)))))
  }
  return made
}

/** A packet as before the first key exchange. */
function clearPacket(payload: Buffer): Buffer {
  const padding = 8 - ((payload.length + 5) % 8) + 8
  const packet = Buffer.alloc(5 + payload.length + padding)
  packet.writeUInt32BE(1 + payload.length + padding)
  packet[4] = padding
  packet.set(payload, 5)
  return packet
}

function kexInit(strict: boolean, kex = 'curve25519-sha256'): Buffer {
  const cipher = 'aes128-gcm@openssh.com'
  const mac = 'hmac-sha2-256-etm@openssh.com'
  const names = strict ? `${kex},kex-strict-c-v00@openssh.com` : kex
  return buildMessage(
    message.kexInit,
    { raw: Buffer.alloc(16, 7) },
    names,
    'ssh-ed25519',
    cipher,
    cipher,
    mac,
    mac,
    'none',
    'none',
    '',
    '',
    false,
    0,
  )
}
