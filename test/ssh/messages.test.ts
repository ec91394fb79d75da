import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { message } from '../../src/ssh/messages.ts'
import { buildMessage } from '../../src/ssh/wire.ts'
import { RawClient } from './raw-client.ts'
import { eventually, startTestServer, type TestServer } from './test-server.ts'

/** Bodies that the named messages really have, beside an empty one and rubbish. */
function bodies(type: number): Buffer[] {
  const plausible: Partial<Record<number, Buffer>> = {
    [message.disconnect]: buildMessage(type, 11, 'bye', ''),
    [message.serviceRequest]: buildMessage(type, 'ssh-connection'),
    [message.serviceAccept]: buildMessage(type, 'ssh-userauth'),
    [message.extInfo]: buildMessage(type, 1, 'server-sig-algs', 'ssh-rsa'),
    [message.userauthRequest]: buildMessage(type, 'ada', 'ssh-connection', 'hostbased', 'x', Buffer.alloc(4)),
    [message.userauthFailure]: buildMessage(type, 'password', false),
    [message.userauthBanner]: buildMessage(type, 'boo', ''),
    [message.userauthPkOk]: buildMessage(type, 'ssh-ed25519', Buffer.alloc(51)),
    [message.userauthInfoResponse]: buildMessage(type, 1, 'engine'),
    [message.globalRequest]: buildMessage(type, 'tcpip-forward', true, '0.0.0.0', 0),
    [message.channelOpen]: buildMessage(type, 'session', 0, 65_536, 32_768),
    [message.channelOpenConfirmation]: buildMessage(type, 0, 0, 65_536, 32_768),
    [message.channelWindowAdjust]: buildMessage(type, 0, 4096),
    [message.channelData]: buildMessage(type, 0, 'data'),
    [message.channelRequest]: buildMessage(type, 0, 'subsystem', true, 'sftp'),
  }
  const known = plausible[type]
  return [Buffer.of(type), Buffer.concat([Buffer.of(type), randomBytes(40)]), ...(known ? [known] : [])]
}

type State = 'before the service' | 'before the first request' | 'while a request is decided' | 'logged in'

const states: readonly State[] = [
  'before the service',
  'before the first request',
  'while a request is decided',
  'logged in',
]

describe('a message of every number', () => {
  for (const state of states.slice(0, 3)) {
    it(`${state} opens nothing, tells nobody, and the server lives on (S-2)`, async () => {
      await using test = await startTestServer({
        conversation: { password: () => new Promise(() => {}) },
      })
      for (let type = 0; type < 256; type += 16) {
        const numbers = Array.from({ length: 16 }, (_, index) => type + index)
        await Promise.all(numbers.map((number) => sendBefore(test, state, number)))
      }
      expect(test.sessions).toEqual([])
      expect(test.events.filter(({ event }) => event === 5)).toEqual([])
      const acts = new Set(test.asked.map(({ what }) => what))
      expect([...acts].filter((what) => !['admit', 'end', 'password', 'none'].includes(what))).toEqual([])
      await expectAlive(test)
    })
  }

  it('logged in does no harm either: the connection ends or goes on, and the name stays (S-3)', async () => {
    await using test = await startTestServer()
    for (let type = 0; type < 256; type += 16) {
      await Promise.all(
        Array.from({ length: 16 }, async (_, index) => {
          for (const body of bodies(type + index)) {
            await using client = await RawClient.login({ port: test.port })
            await client.openSftp()
            client.send(body)
            await settled(client)
            for (const { username } of test.server.connections()) expect(username ?? 'ada').toBe('ada')
          }
        }),
      )
    }
    await expectAlive(test)
  })

  it('that asks to log in again after a login is passed over in silence (RFC 4252 section 5.1)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    client.sendPassword('bob', 'engine')
    await settled(client)
    expect(client.ended).toBe(false)
    expect(client.heardTypes()).not.toContain(message.userauthSuccess)
    expect(test.asked.filter(({ what }) => what === 'password')).toHaveLength(1)
    expect(test.server.connections()[0]?.username).toBe('ada')
  })

  it('that nobody knows is answered with UNIMPLEMENTED and its number', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.send(Buffer.of(250))
    const answer = await client.next(message.unimplemented)
    // Strict key exchange counts from zero again after NEWKEYS: this was the first packet.
    expect(answer.readUInt32BE(1)).toBe(0)
  })
})

async function sendBefore(test: TestServer, state: State, type: number): Promise<void> {
  for (const body of bodies(type)) {
    await using client = await RawClient.open({ port: test.port })
    if (state !== 'before the service') client.startLogin()
    if (state === 'while a request is decided') client.sendPassword('ada', 'engine')
    client.send(body)
    await settled(client)
    const answers = client.heardTypes()
    for (const never of [
      message.userauthSuccess,
      message.channelOpenConfirmation,
      message.channelSuccess,
      message.requestSuccess,
    ])
      expect(answers, `${state}, message ${type}`).not.toContain(never)
  }
}

/** Waits until the server has dealt with everything: it answered a message that nobody knows, or hung up. */
async function settled(client: RawClient): Promise<void> {
  if (client.ended) return
  client.send(Buffer.of(251))
  await eventually(() => client.ended || client.heardTypes().includes(message.unimplemented))
  if (!client.ended && client.goodbye !== undefined) await client.untilEnded()
}

async function expectAlive(test: TestServer): Promise<void> {
  await eventually(() => test.server.connections().length === 0)
  await using client = await RawClient.open({ port: test.port })
  client.startLogin()
  client.send(buildMessage(message.userauthRequest, 'ada', 'ssh-connection', 'none'))
  await client.next(message.userauthFailure)
}
