import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Labels } from '../../src/base/meter.ts'
import { message } from '../../src/ssh/messages.ts'
import { buildMessage } from '../../src/ssh/wire.ts'
import { manualClock } from '../helpers/manual-clock.ts'
import { RawClient } from './raw-client.ts'
import { eventually, startTestServer } from './test-server.ts'

describe('what the SSH server counts', () => {
  it('connections, and who was refused for what', async () => {
    const { counts, meter } = countingMeter()
    await using test = await startTestServer({ meter, maxPerAddress: 1 })
    await using guest = await RawClient.login({ port: test.port })
    using second = await socketTo(test.port)
    await eventually(() => second.destroyed)
    expect(counts.get('sftpgo_connections_refused_total by=limit-address')).toBe(1)
    await guest[Symbol.asyncDispose]()
    await eventually(() => test.server.connections().length === 0)
    using browser = await socketTo(test.port)
    browser.write('GET / HTTP/1.1\r\n')
    await eventually(() => browser.destroyed)
    expect(counts.get('sftpgo_connections_refused_total by=first-line')).toBe(1)
    expect(counts.get('sftpgo_connections_total')).toBe(3)
    expect(counts.get('sftpgo_key_exchanges_total kex=curve25519-sha256')).toBe(1)
  })

  it('authentication requests by method and answer; names that a client made up are "other"', async () => {
    const { counts, meter } = countingMeter()
    await using test = await startTestServer({ meter })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    for (const method of ['none', 'gssapi-with-mic', 'made-up']) {
      client.send(buildMessage(message.userauthRequest, 'ada', 'ssh-connection', method))
      await client.next(message.userauthFailure)
    }
    client.sendPassword('ada', 'wrong')
    await client.next(message.userauthFailure)
    client.sendPassword('ada', 'engine')
    await client.next(message.userauthSuccess)
    expect([...counts].filter(([name]) => name.startsWith('sftpgo_auth'))).toEqual([
      ['sftpgo_auth_requests_total method=none answer=refused', 1],
      ['sftpgo_auth_requests_total method=other answer=unasked', 2],
      ['sftpgo_auth_requests_total method=password answer=refused', 1],
      ['sftpgo_auth_requests_total method=password answer=granted', 1],
    ])
  })

  it('who did not log in in time, who broke the protocol, and who had to make room', async () => {
    const { counts, meter } = countingMeter()
    const clock = manualClock()
    await using test = await startTestServer({ meter, clock, loginGraceMs: 10_000, maxHalfOpen: 2 })
    await using slow = await RawClient.open({ port: test.port })
    using silent = await socketTo(test.port)
    await once(silent, 'data')
    using late = await socketTo(test.port)
    await once(late, 'data')
    await eventually(() => silent.destroyed)
    expect(counts.get('sftpgo_connections_evicted_total')).toBe(1)
    clock.advance(11_000)
    await slow.untilEnded()
    await eventually(() => late.destroyed)
    expect(counts.get('sftpgo_login_grace_lapses_total at=login')).toBe(1)
    expect(counts.get('sftpgo_login_grace_lapses_total at=greeting')).toBe(1)
    await using rude = await RawClient.open({ port: test.port })
    rude.send(buildMessage(message.channelOpen, 'session', 0, 1000, 1000))
    await rude.untilEnded()
    expect(counts.get('sftpgo_connections_broken_total during=login')).toBe(1)
  })
})

function countingMeter() {
  const counts = new Map<string, number>()
  const add = (name: string, amount = 1, labels: Labels = {}): void => {
    const key = [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].join(' ')
    counts.set(key, (counts.get(key) ?? 0) + amount)
  }
  return { counts, meter: { add, observe() {}, set() {} } }
}

async function socketTo(port: number): Promise<Socket & Disposable> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.resume()
  return Object.assign(socket, { [Symbol.dispose]: () => void socket.destroy() })
}
