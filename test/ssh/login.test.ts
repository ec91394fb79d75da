import { createPublicKey, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { LoginAnswer } from '../../src/accounts/login-conversation.ts'
import { message } from '../../src/ssh/messages.ts'
import { buildMessage, Fields, sshString } from '../../src/ssh/wire.ts'
import { RawClient } from './raw-client.ts'
import { eventually, principalOf, refused, startTestServer } from './test-server.ts'

const { userauthRequest, userauthFailure, userauthSuccess, userauthInfoRequest, userauthInfoResponse } =
  message

describe('a login', () => {
  it('by password succeeds, and a wrong one is refused with the methods that may go on', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.sendPassword('ada', 'wrong')
    const fields = new Fields(await client.next(userauthFailure))
    expect(fields.name()).toBe('publickey,password,keyboard-interactive')
    expect(fields.boolean()).toBe(false)
    client.sendPassword('ada', 'engine')
    await client.next(userauthSuccess)
    expect(test.server.connections()).toMatchObject([
      { username: 'ada', method: 'password', clientVersion: 'raw' },
    ])
  })

  it('shows its banner before, and the reference of a refusal', async () => {
    await using test = await startTestServer({ banner: 'Welcome\nto the engine' })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    expect(new Fields(await client.next(message.userauthBanner)).text()).toBe('Welcome\nto the engine\r\n')
    client.sendPassword('ada', 'wrong')
    expect(new Fields(await client.next(message.userauthBanner)).text()).toContain('abcd1234')
    await client.next(userauthFailure)
  })

  it('names the story of refused keys once, however many are offered', async () => {
    await using test = await startTestServer({ conversation: { queryKey: async () => refused } })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    const said: (string | undefined)[] = []
    for (const blob of ['first', 'second', 'third']) {
      const query = ['ada', 'ssh-connection', 'publickey', false, 'ssh-ed25519', Buffer.from(blob)] as const
      client.send(buildMessage(userauthRequest, ...query))
      if (blob === 'first') said.push(new Fields(await client.next(message.userauthBanner)).text())
      await client.next(userauthFailure)
    }
    expect(said).toEqual(['Key refused (reference abcd1234)\r\n'])
    expect(client.heardTypes()).not.toContain(message.userauthBanner)
  })

  it("tells nobody's banner to a client that only asks for methods", async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.send(buildMessage(userauthRequest, 'ada', 'ssh-connection', 'none'))
    await client.next(userauthFailure)
    expect(client.heardTypes()).not.toContain(message.userauthBanner)
  })

  it('hands a key on as it was sent, with exactly the bytes that were signed (RFC 4252 section 7)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    const blob = Buffer.concat([sshString('sk-ssh-ed25519@openssh.com'), sshString(Buffer.alloc(32, 7))])
    const request = [
      userauthRequest,
      'ada',
      'ssh-connection',
      'publickey',
      true,
      'sk-ssh-ed25519@openssh.com',
      blob,
    ] as const
    client.send(buildMessage(...request, Buffer.from('a signature')))
    await client.next(userauthSuccess)
    const [given] = test.proofs
    expect(given?.key).toEqual({ algorithm: 'sk-ssh-ed25519@openssh.com', blob })
    expect(given?.proof.signature.toString()).toBe('a signature')
    expect(given?.proof.signedData).toEqual(
      Buffer.concat([sshString(client.transport.sessionId), buildMessage(...request)]),
    )
  })

  it('says of a key that would do so, and of an algorithm that is not taken no, without asking anybody', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    const query = (algorithm: string): void =>
      client.send(
        buildMessage(
          userauthRequest,
          'ada',
          'ssh-connection',
          'publickey',
          false,
          algorithm,
          Buffer.from('blob'),
        ),
      )
    query('ssh-ed25519')
    const ok = new Fields(await client.next(message.userauthPkOk))
    expect([ok.name(), ok.name()]).toEqual(['ssh-ed25519', 'blob'])
    query('ssh-rsa')
    await client.next(userauthFailure)
    query('ssh-dss')
    await client.next(userauthFailure)
    expect(test.asked.filter(({ what }) => what === 'query')).toHaveLength(1)
  })

  it('counts refused attempts across methods, queries among them, and hangs up at the sixth (S-8)', async () => {
    await using test = await startTestServer({
      conversation: { queryKey: async () => refused },
    })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    const attempts = [
      buildMessage(userauthRequest, 'ada', 'ssh-connection', 'none'),
      buildMessage(userauthRequest, 'ada', 'ssh-connection', 'password', false, 'wrong'),
      buildMessage(
        userauthRequest,
        'ada',
        'ssh-connection',
        'publickey',
        false,
        'ssh-ed25519',
        Buffer.from('k'),
      ),
      buildMessage(userauthRequest, 'ada', 'ssh-connection', 'hostbased', 'ssh-ed25519', Buffer.from('k')),
      buildMessage(userauthRequest, 'ada', 'ssh-connection', 'none'),
      buildMessage(userauthRequest, 'ada', 'ssh-connection', 'no-such-method'),
    ]
    for (const attempt of attempts) {
      client.send(attempt)
      await client.next(userauthFailure)
    }
    client.sendPassword('ada', 'wrong') // the sixth: the first "none" is none
    await client.untilEnded()
    expect(client.goodbye?.text).toBe('Too many authentication failures')
  })

  it('bounds queries for keys that would do, too', async () => {
    await using test = await startTestServer({ maxAuthTries: 3 })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    const query = buildMessage(
      userauthRequest,
      'ada',
      'ssh-connection',
      'publickey',
      false,
      'ssh-ed25519',
      Buffer.from('k'),
    )
    for (let count = 0; count < 3; count += 1) {
      client.send(query)
      await client.next(message.userauthPkOk)
    }
    client.send(query)
    await client.untilEnded()
  })

  it('ends when a second request comes before the first was answered', async () => {
    let asked = 0
    await using test = await startTestServer({
      conversation: {
        password: () => {
          asked += 1
          return new Promise<LoginAnswer>(() => {})
        },
      },
    })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.sendPassword('ada', 'one')
    client.sendPassword('ada', 'two')
    await client.untilEnded()
    expect(asked).toBe(1)
    expect(client.heardTypes()).not.toContain(userauthSuccess)
  })

  it('ends when the name changes in the middle (S-19)', async () => {
    await using test = await startTestServer({
      conversation: { password: async () => ({ verdict: 'partial', methods: ['publickey'] }) },
    })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.sendPassword('ada', 'engine')
    const fields = new Fields(await client.next(userauthFailure))
    expect([fields.name(), fields.boolean()]).toEqual(['publickey', true])
    client.sendPassword('bob', 'engine')
    await client.untilEnded()
    expect(client.goodbye?.text).toBe('Change of user name not allowed')
  })

  it('lets nobody in when the decision fails, whatever failed (S-5)', async () => {
    await using test = await startTestServer({
      conversation: {
        password: () => Promise.reject(new Error('The directory is on fire')),
        none: () => Promise.reject(new Error('Also')),
      },
    })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.sendPassword('ada', 'engine')
    await client.next(userauthFailure)
    expect(test.logged).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'login could not be decided' }),
    )
  })

  it('drops a grant that comes after the client left, and ends the conversation once', async () => {
    let grant: (answer: LoginAnswer) => void = () => {}
    await using test = await startTestServer({
      conversation: {
        password: () =>
          new Promise<LoginAnswer>((resolve) => {
            grant = resolve
          }),
      },
    })
    const client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.sendPassword('ada', 'engine')
    await eventually(() => test.server.connections().length === 1)
    await client[Symbol.asyncDispose]()
    await eventually(() => test.server.connections().length === 0)
    grant({ verdict: 'granted', principal: principalOf('ada') })
    await new Promise((resolve) => setImmediate(resolve))
    expect(test.asked.filter(({ what }) => what === 'end')).toHaveLength(1)
    expect(test.server.sessionsOf('ada')).toBe(0)
  })

  it('refuses names that are no text or hold a NUL (S-40) before anybody is asked', async () => {
    for (const name of [Buffer.from([0x61, 0xff]), Buffer.from('a\0b'), Buffer.alloc(2000, 0x61)]) {
      await using test = await startTestServer()
      await using client = await RawClient.open({ port: test.port })
      client.startLogin()
      client.send(buildMessage(userauthRequest, name, 'ssh-connection', 'password', false, 'engine'))
      await client.untilEnded()
      expect(test.asked.filter(({ what }) => what === 'password')).toEqual([])
    }
  })

  it('does not ask for passwords where they are switched off', async () => {
    await using test = await startTestServer({ passwordAllowed: false, keyboardInteractiveAllowed: false })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.sendPassword('ada', 'engine')
    expect(new Fields(await client.next(userauthFailure)).name()).toBe('publickey')
    expect(test.asked.some(({ what }) => what === 'password')).toBe(false)
  })

  it('ends a final refusal with its reference', async () => {
    await using test = await startTestServer({
      conversation: { password: async () => ({ ...refused, final: true }) },
    })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    client.sendPassword('ada', 'engine')
    await client.untilEnded()
    expect(client.goodbye).toEqual({ reason: 14, text: 'Login refused (abcd1234)' })
  })
})

describe('a login by questions', () => {
  it('asks and takes the answer', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    startQuestions(client)
    const page = new Fields(await client.next(userauthInfoRequest))
    expect([page.name(), page.name(), page.name(), page.uint32(), page.name(), page.boolean()]).toEqual([
      '',
      '',
      '',
      1,
      'Engine? ',
      false,
    ])
    client.send(buildMessage(userauthInfoResponse, 1, 'engine'))
    await client.next(userauthSuccess)
  })

  it('refuses too few, too many, too long answers and answers that are no text (S-9)', async () => {
    const wrong = [
      buildMessage(userauthInfoResponse, 0),
      buildMessage(userauthInfoResponse, 2, 'engine', 'engine'),
      buildMessage(userauthInfoResponse, 1000, ...Array.from({ length: 1000 }, () => 'engine')),
      buildMessage(userauthInfoResponse, 1, 'x'.repeat(5000)),
      buildMessage(userauthInfoResponse, 1, Buffer.from([0xff, 0xfe])),
    ]
    const heard: (readonly string[] | undefined)[] = []
    await using test = await startTestServer({
      conversation: {
        keyboardInteractive: async (_, ask) => {
          heard.push(await ask({ name: '', instructions: '', questions: [{ text: '?', echo: true }] }))
          return refused
        },
      },
    })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    for (const answer of wrong) {
      startQuestions(client)
      await client.next(userauthInfoRequest)
      client.send(answer)
      await client.next(userauthFailure)
    }
    expect(heard).toEqual([undefined, undefined, undefined, undefined, undefined])
  })

  it('ends when answers are cut short, come twice, or before any question (S-9)', async () => {
    const openings: ((client: RawClient) => Promise<void>)[] = [
      async (client) => client.send(buildMessage(userauthInfoResponse, 1, 'engine')),
      async (client) => {
        startQuestions(client)
        await client.next(userauthInfoRequest)
        client.send(buildMessage(userauthInfoResponse, 1))
      },
      async (client) => {
        startQuestions(client)
        await client.next(userauthInfoRequest)
        client.send(buildMessage(userauthInfoResponse, 1, 'wrong'))
        client.send(buildMessage(userauthInfoResponse, 1, 'engine'))
      },
    ]
    for (const opening of openings) {
      await using test = await startTestServer()
      await using client = await RawClient.open({ port: test.port })
      client.startLogin()
      await opening(client)
      await client.untilEnded()
      expect(client.heardTypes()).not.toContain(userauthSuccess)
    }
  })

  it('gives up silently when another request takes its place (RFC 4252 section 5.1)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    startQuestions(client)
    await client.next(userauthInfoRequest)
    client.sendPassword('ada', 'engine')
    await client.next(userauthSuccess)
    expect(client.heardTypes()).not.toContain(userauthFailure)
  })

  it('has ten rounds at most (S-9)', async () => {
    let rounds = 0
    await using test = await startTestServer({
      conversation: {
        keyboardInteractive: async (_, ask) => {
          for (;;) {
            const answers = await ask({ name: '', instructions: '', questions: [{ text: '?', echo: true }] })
            if (answers === undefined) return refused
            rounds += 1
          }
        },
      },
    })
    await using client = await RawClient.open({ port: test.port })
    client.startLogin()
    startQuestions(client)
    for (let count = 0; count < 10; count += 1) {
      await client.next(userauthInfoRequest)
      client.send(buildMessage(userauthInfoResponse, 1, 'again'))
    }
    await client.next(userauthFailure)
    expect(rounds).toBe(10)
  })
})

describe('the first message after a key exchange', () => {
  it('names the signatures that are taken, none with SHA-1, and the extension for pings', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.open({ port: test.port })
    const fields = new Fields(await client.next(message.extInfo))
    expect(fields.uint32()).toBe(2)
    expect(fields.name()).toBe('server-sig-algs')
    const names = fields.name().split(',')
    expect(names).toContain('rsa-sha2-512')
    expect(names).toContain('sk-ssh-ed25519@openssh.com')
    expect(names).not.toContain('ssh-rsa')
    expect([fields.name(), fields.name()]).toEqual(['ping@openssh.com', '0'])
    client.send(buildMessage(message.ping, 'hello'))
    expect(new Fields(await client.next(message.pong)).name()).toBe('hello')
  })

  it('after the login announces the host keys and proves them ours (hostkeys-00)', async () => {
    await using test = await startTestServer()
    await using client = await RawClient.login({ port: test.port })
    const announced = new Fields(await client.next(message.globalRequest))
    expect([announced.name(), announced.boolean()]).toEqual(['hostkeys-00@openssh.com', false])
    const blob = Buffer.from(announced.bytes())
    client.send(buildMessage(message.globalRequest, 'hostkeys-prove-00@openssh.com', true, blob))
    const proof = new Fields(new Fields(await client.next(message.requestSuccess)).bytes(), 0)
    expect(proof.name()).toBe('ssh-ed25519')
    const signed = Buffer.concat([
      sshString('hostkeys-prove-00@openssh.com'),
      sshString(client.transport.sessionId),
      sshString(blob),
    ])
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), blob.subarray(-32)])
    const key = createPublicKey({ key: spki, type: 'spki', format: 'der' })
    expect(verify(null, signed, key, proof.bytes())).toBe(true)
    client.send(
      buildMessage(message.globalRequest, 'hostkeys-prove-00@openssh.com', true, Buffer.from('other')),
    )
    await client.next(message.requestFailure)
  })
})

function startQuestions(client: RawClient): void {
  client.send(buildMessage(userauthRequest, 'ada', 'ssh-connection', 'keyboard-interactive', '', ''))
}
