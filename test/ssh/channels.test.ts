import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { message, openFailure } from '../../src/ssh/messages.ts'
import { buildMessage, Fields } from '../../src/ssh/wire.ts'
import { RawClient } from './raw-client.ts'
import { eventually, startTestServer } from './test-server.ts'

describe('channels', () => {
  it('are ten at most on a connection, and a closed one makes room (S-24)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const ids: number[] = []
    for (let ours = 0; ours < 10; ours += 1) ids.push(await client.openSftp(1 << 20, 32_768, ours))
    openSession(client)
    expect(await failure(client)).toEqual([
      openFailure.resourceShortage,
      'Too many sessions on this connection',
    ])
    client.send(buildMessage(message.channelClose, ids[3] ?? 0))
    await client.next(message.channelClose)
    await client.openSftp()
    expect(test.server.sessionsOf('ada')).toBe(10)
  })

  it('are as many as the user may have, over all connections', async () => {
    await using test = await startTestServer({ maxSessions: 2 })
    await using one = await RawClient.login({ port: test.port })
    await using two = await RawClient.login({ port: test.port })
    await one.openSftp()
    await two.openSftp()
    openSession(one)
    expect(await failure(one)).toEqual([openFailure.resourceShortage, 'Too many sessions of this user'])
    await two[Symbol.asyncDispose]()
    await eventually(() => test.server.sessionsOf('ada') === 1)
    await one.openSftp()
  })

  it('for anything but sessions are refused (C-95)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const open = (type: string, ...more: (string | number)[]): void =>
      client.send(buildMessage(message.channelOpen, type, 0, 65_536, 32_768, ...more))
    for (const type of ['direct-tcpip', 'direct-streamlocal@openssh.com', 'x11', 'auth-agent@openssh.com']) {
      open(type, '127.0.0.1', 22, '127.0.0.1', 1)
      expect((await failure(client))[0], type).toBe(openFailure.administrativelyProhibited)
    }
    open('no-such-type')
    expect((await failure(client))[0]).toBe(openFailure.unknownChannelType)
    client.send(buildMessage(message.globalRequest, 'tcpip-forward', true, '0.0.0.0', 0))
    await client.next(message.requestFailure)
  })

  it('refuse shells, programs, terminals, variables and other subsystems politely (C-95, S-30, S-31)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    openSession(client)
    const fields = new Fields(await client.next(message.channelOpenConfirmation))
    fields.uint32()
    const theirs = fields.uint32()
    const ask = (type: string, ...more: (string | number | Buffer)[]): void =>
      client.send(buildMessage(message.channelRequest, theirs, type, true, ...more))
    for (const request of [
      () => ask('env', 'LANG', 'C'),
      () => ask('pty-req', 'xterm', 80, 24, 0, 0, ''),
      () => ask('shell'),
      () => ask('exec', 'scp -t /'),
      () => ask('exec', Buffer.from([0xff, 0xfe])),
      () => ask('subsystem', 'netconf'),
      () => ask('auth-agent-req@openssh.com'),
      () => ask('x'.repeat(20_000)),
    ]) {
      request()
      await client.next(message.channelFailure)
    }
    ask('subsystem', 'sftp')
    await client.next(message.channelSuccess)
    ask('subsystem', 'sftp') // once is enough
    await client.next(message.channelFailure)
    expect(test.sessions).toHaveLength(1)
    ask('subsystem') // cut short
    await client.untilEnded()
  })

  it('are independent of each other (C-17)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const one = await client.openSftp(1 << 20, 32_768, 7)
    const two = await client.openSftp(1 << 20, 32_768, 8)
    client.send(buildMessage(message.channelData, one, 'for one'))
    client.send(buildMessage(message.channelData, two, 'for two'))
    const first = new Fields(await client.next(message.channelData))
    expect([first.uint32(), first.name()]).toEqual([7, 'for one'])
    client.send(buildMessage(message.channelClose, one))
    const second = new Fields(await client.next(message.channelData))
    expect([second.uint32(), second.name()]).toEqual([8, 'for two'])
  })

  it('are no more after no-more-sessions', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    await client.openSftp()
    client.send(buildMessage(message.globalRequest, 'no-more-sessions@openssh.com', false))
    openSession(client)
    expect((await failure(client))[0]).toBe(openFailure.administrativelyProhibited)
  })

  it('with a packet size of zero are refused, and the server lives on', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    openSession(client, 65_536, 0)
    expect((await failure(client))[0]).toBe(openFailure.administrativelyProhibited)
    await client.openSftp()
  })

  it('answer keepalives, with a failure (C-94)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    client.send(buildMessage(message.globalRequest, 'keepalive@openssh.com', true))
    await client.next(message.requestFailure)
  })
})

describe('the stream of a channel', () => {
  it('says its exit status, its end and its close in this order, after all data (C-15, C-91)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    client.send(buildMessage(message.channelData, theirs, randomBytes(20_000)))
    client.send(buildMessage(message.channelEof, theirs))
    await client.until(() => client.heardTypes().includes(message.channelClose))
    const types = client.heardTypes().filter((type) => type >= message.channelData && type <= 98)
    expect(types).toEqual([
      message.channelData,
      message.channelRequest,
      message.channelEof,
      message.channelClose,
    ])
    const request = new Fields(client.heard.find((payload) => payload[0] === message.channelRequest)!)
    expect([request.uint32(), request.name(), request.boolean(), request.uint32()]).toEqual([
      0,
      'exit-status',
      false,
      0,
    ])
  })

  for (const [packetSize, window, length] of [
    [1, 1, 300],
    [1, 100_000, 5_000],
    [7, 13, 2_000],
    [1024, 1024, 100_000],
    [32_768, 100, 20_000],
    [2 ** 31, 2 ** 31, 400_000],
  ] as const) {
    it(`brings ${length} bytes back to a client with packets of ${packetSize} and a window of ${window} (C-90)`, async () => {
      await using test = await startTestServer()
      await using client = await RawClient.login({ port: test.port })
      const theirs = await client.openSftp(window, packetSize)
      const bytes = randomBytes(length)
      for (let at = 0; at < length; at += 30_000)
        client.send(buildMessage(message.channelData, theirs, bytes.subarray(at, at + 30_000)))
      let open = window
      const back: Buffer[] = []
      for (let received = 0; received < length;) {
        const data = new Fields(await client.next(message.channelData))
        data.uint32()
        const piece = data.bytes()
        expect(piece.length).toBeLessThanOrEqual(Math.min(packetSize, 32_768, open))
        back.push(piece)
        received += piece.length
        open -= piece.length
        if (open === 0) {
          client.send(buildMessage(message.channelWindowAdjust, theirs, window))
          open = window
        }
      }
      expect(Buffer.concat(back).equals(bytes)).toBe(true)
    })
  }

  it('stays closed for a client that sends more than its window, and ends its connection', async () => {
    await using test = await startTestServer({ echo: { hold: () => true } })
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    const piece = buildMessage(message.channelData, theirs, Buffer.alloc(32_768))
    for (let sent = 0; sent < 4 * 1024 * 1024; sent += 32_768) client.send(piece)
    await client.untilEnded()
    expect(client.goodbye?.reason).toBe(2)
    expect(test.sessions[0]?.received).toBeLessThanOrEqual(2 * 1024 * 1024)
  })

  it('gives the window back only for bytes that the session is done with', async () => {
    let hold = true
    await using test = await startTestServer({ echo: { hold: () => hold } })
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    for (let sent = 0; sent < 2 * 1024 * 1024; sent += 32_768)
      client.send(buildMessage(message.channelData, theirs, Buffer.alloc(32_768)))
    await eventually(() => test.sessions[0]?.heldBytes === 2 * 1024 * 1024)
    expect(client.heardTypes()).not.toContain(message.channelWindowAdjust)
    hold = false
    test.sessions[0]?.pump()
    await client.next(message.channelWindowAdjust)
  })

  it('opens its window wider, up to 6 MiB, for a client far away that uses it up', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    const piece = buildMessage(message.channelData, theirs, Buffer.alloc(32_768))
    let window = 2 * 1024 * 1024
    let widest = window
    for (let round = 0; round < 400 && widest < 6 * 1024 * 1024; round += 1) {
      // A round trip: all that the window allows is sent, and only then answers are read and given.
      for (; window >= 32_768; window -= 32_768) client.send(piece)
      const before = test.sessions[0]?.received ?? 0
      await eventually(() => (test.sessions[0]?.received ?? 0) > before || round === 0)
      await client.next(message.channelWindowAdjust).then((adjust) => (window += adjust.readUInt32BE(5)))
      await eventually(() => test.sessions[0]?.outstanding === 0)
      for (const heard of client.heard.splice(0)) {
        if (heard[0] === message.channelWindowAdjust) window += heard.readUInt32BE(5)
        if (heard[0] !== message.globalRequest) continue
        for (; window >= 32_768; window -= 32_768) client.send(piece)
        client.send(buildMessage(message.requestFailure))
      }
      widest = Math.max(widest, window)
    }
    expect(widest).toBeGreaterThan(4 * 1024 * 1024)
    expect(widest).toBeLessThanOrEqual(6 * 1024 * 1024)
  })

  it('holds little for a client that asks for much and reads nothing, and goes on when it reads (S-21)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp(2 ** 32 - 1)
    client.socket.pause()
    const piece = buildMessage(message.channelData, theirs, Buffer.alloc(32_768))
    for (let sent = 0; sent < 2 * 1024 * 1024; sent += 32_768) client.send(piece)
    const [session] = test.sessions
    await eventually(() => session?.received === 2 * 1024 * 1024)
    expect(session?.stream.queuedBytes).toBeLessThan(2 * 1024 * 1024)
    client.socket.resume()
    let back = 0
    while (back < 2 * 1024 * 1024) back += (await client.next(message.channelData)).length - 9
    expect(session?.stream.queuedBytes).toBeLessThan(1024 * 1024)
  })

  it('ends a connection that makes a window of more than 2^32 bytes', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp(2 ** 32 - 1)
    client.send(buildMessage(message.channelWindowAdjust, theirs, 1))
    await client.untilEnded()
  })

  it('is told within a second when the client vanishes with a reset (C-16)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const theirs = await client.openSftp()
    client.send(buildMessage(message.channelData, theirs, randomBytes(100)))
    await eventually(() => test.sessions.length === 1 && test.sessions[0]!.received === 100)
    client.socket.resetAndDestroy()
    const before = performance.now()
    expect(await test.sessions[0]?.ended).toBe('stream-closed')
    expect(performance.now() - before).toBeLessThan(1000)
    await eventually(() => test.server.connections().length === 0)
    expect(test.server.sessionsOf('ada')).toBe(0)
  })
})

describe('a key exchange in the middle', () => {
  it('changes nothing of what arrives, whoever starts it and however often (C-89)', async () => {
    await using test = await startTestServer({ rekeyBytes: 1024 * 1024 })
    await using client = await RawClient.login({ port: test.port, kex: ['mlkem768x25519-sha256'] })
    const theirs = await client.openSftp()
    const bytes = randomBytes(8 * 1024 * 1024)
    let window = 2 * 1024 * 1024
    let sent = 0
    const back: Buffer[] = []
    let received = 0
    while (received < bytes.length) {
      while (sent < bytes.length && window >= 32_768) {
        client.send(buildMessage(message.channelData, theirs, bytes.subarray(sent, sent + 32_768)))
        sent += 32_768
        window -= 32_768
        if (sent % (768 * 1024) === 0) client.transport.rekey()
      }
      const heard = await client.next(message.channelData, message.channelWindowAdjust)
      if (heard[0] === message.channelWindowAdjust) window += heard.readUInt32BE(5)
      else {
        back.push(heard.subarray(9))
        received += heard.length - 9
      }
    }
    expect(Buffer.concat(back).equals(bytes)).toBe(true)
    expect(client.exchanges).toBeGreaterThan(6)
    expect(client.negotiated?.kex).toBe('mlkem768x25519-sha256')
  })
})

function openSession(client: RawClient, window = 65_536, packetSize = 32_768): void {
  client.send(buildMessage(message.channelOpen, 'session', 0, window, packetSize))
}

async function failure(client: RawClient): Promise<[number, string]> {
  const fields = new Fields(await client.next(message.channelOpenFailure))
  fields.uint32()
  return [fields.uint32(), fields.name()]
}
