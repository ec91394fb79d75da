import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { startTestServer, type TestServer } from './test-server.ts'

/** Clients of other makers, each saying what it says up to its login at 127.0.0.1:PORT. */
const clients: readonly (readonly [
  name: string,
  command: string,
  args: (port: string) => readonly string[],
])[] = [
  [
    'OpenSSH',
    'ssh',
    (port) => [
      '-F',
      '/dev/null',
      ...options(['BatchMode=yes', 'StrictHostKeyChecking=no']),
      '-p',
      port,
      'ada@127.0.0.1',
    ],
  ],
  ['PuTTY', 'plink', (port) => ['-batch', '-P', port, '-pw', 'wrong', 'ada@127.0.0.1']],
  ['libssh2 (curl)', 'curl', (port) => ['-sk', '-u', 'ada:wrong', `sftp://127.0.0.1:${port}/`]],
  [
    'paramiko',
    '/usr/bin/python3',
    (port) => [
      '-c',
      `import paramiko; t = paramiko.Transport(('127.0.0.1', ${port})); t.connect(username='ada', password='wrong')`,
    ],
  ],
]

describe('handshakes that other clients were recorded with (S-17)', () => {
  for (const [name, command, args] of clients) {
    const probe = name === 'paramiko' ? ['-c', 'import paramiko'] : ['--version']
    const { error, status } = spawnSync(command, probe)
    const missing = error !== undefined || (name === 'paramiko' && status !== 0)
    it.skipIf(missing)(
      `of ${name}, replayed whole, cut and changed, end their connection at most (needs ${name === 'paramiko' ? name : command})`,
      async () => {
        await using test = await startTestServer({ loginGraceMs: 500 })
        const recorded = await record(test, command, args)
        expect(recorded.length).toBeGreaterThan(500)
        const random = randomFrom(17)
        const replays = [recorded, Buffer.concat([recorded, recorded])]
        for (let index = 0; index < 60; index += 1)
          replays.push(recorded.subarray(0, Math.floor(random() * recorded.length)))
        for (let index = 0; index < 140; index += 1) replays.push(changed(recorded, random))
        for (let at = 0; at < replays.length; at += 50)
          await Promise.all(replays.slice(at, at + 50).map((bytes) => replay(test.port, bytes)))
        expect(test.logged.filter(({ level }) => level === 'error')).toEqual([])
        // The next client is served as if nothing had been.
        expect((await record(test, command, args)).length).toBeGreaterThan(500)
      },
    )
  }
})

function options(settings: readonly string[]): string[] {
  return [...settings, 'UserKnownHostsFile=/dev/null'].flatMap((setting) => ['-o', setting])
}

/** What a client sends to the server before it is sent away, from the first byte. */
async function record(
  test: TestServer,
  command: string,
  args: (port: string) => readonly string[],
): Promise<Buffer> {
  const said: Buffer[] = []
  const relay = createServer((client) => {
    const server = connect(test.port, '127.0.0.1')
    client.on('data', (bytes: Buffer) => said.push(bytes))
    client.pipe(server).pipe(client)
    client.on('error', () => server.destroy())
    server.on('error', () => client.destroy())
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  // It listens on TCP, so it has a port.
  const { port } = relay.address() as AddressInfo
  const child = spawn(command, args(String(port)), { stdio: 'ignore' })
  await once(child, 'exit')
  relay.close()
  return Buffer.concat(said)
}

/** The same bytes with a few of them others, left out or said twice. */
function changed(bytes: Buffer, random: () => number): Buffer {
  let copy = Buffer.from(bytes)
  for (let times = 1 + Math.floor(random() * 4); times > 0; times -= 1) {
    const at = Math.floor(random() * copy.length)
    const kind = Math.floor(random() * 3)
    if (kind === 0) copy[at] = Math.floor(random() * 256)
    else if (kind === 1)
      copy = Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1 + Math.floor(random() * 40))])
    else copy = Buffer.concat([copy.subarray(0, at), copy.subarray(Math.max(0, at - 40))])
  }
  return copy
}

/** Says it all in two pieces and waits until the server has hung up; its grace time is the end of every wait. */
async function replay(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}) // hung up on while it still spoke
  socket.resume()
  const half = Math.floor(bytes.length / 2)
  socket.write(bytes.subarray(0, half))
  socket.write(bytes.subarray(half))
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}

/** Numbers from 0 to 1 that are the same in every run. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
