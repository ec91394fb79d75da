import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import ssh2 from 'ssh2'
import type { Client } from './client.ts'
import { median } from './report.ts'
import type { Target } from './target.ts'

/** Sessions that are logged in and do nothing. */
export interface IdleSessions {
  close(): Promise<void>
}

/** Opens `count` SFTP sessions, eight at a time. */
export async function openIdleSessions(client: Client, target: Target, count: number): Promise<IdleSessions> {
  const open: ssh2.Client[] = []
  const lane = async (): Promise<void> => {
    while (open.length < count) {
      const connection = new ssh2.Client()
      open.push(connection)
      await openSession(connection, client, target)
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  return {
    async close() {
      for (const connection of open) connection.end()
      await new Promise((resolve) => setTimeout(resolve, 500))
    },
  }
}

/** Asks for the attributes of one file `count` times, `inFlight` questions under way at once. */
export async function statRoundTrips(
  client: Client,
  target: Target,
  { count, inFlight }: { readonly count: number; readonly inFlight: number },
): Promise<void> {
  const connection = new ssh2.Client()
  const session = await openSession(connection, client, target)
  const path = target.name === 'sshd' ? target.home : '/'
  let left = count
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await new Promise<void>((resolve, reject) =>
        session.stat(path, (error) => (error === undefined || error === null ? resolve() : reject(error))),
      )
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  connection.end()
}

/** Milliseconds from the first packet of a connection to "you are in", this client's part of it included; the median. */
export async function loginMilliseconds(client: Client, target: Target, count: number): Promise<number> {
  const times: number[] = []
  for (let login = 0; login < count; login += 1) {
    const connection = new ssh2.Client()
    const began = performance.now()
    const sock = connect({ host: '127.0.0.1', port: target.port, noDelay: true })
    connection.connect({ sock, ...identity(client) })
    await once(connection, 'ready')
    times.push(performance.now() - began)
    connection.end()
    await once(connection, 'close')
  }
  return median(times)
}

function openSession(connection: ssh2.Client, client: Client, target: Target): Promise<ssh2.SFTPWrapper> {
  return new Promise((resolve, reject) => {
    connection.once('ready', () => {
      connection.setNoDelay(true)
      connection.sftp((error, session) => (error === undefined ? resolve(session) : reject(error)))
    })
    connection.once('error', reject)
    connection.connect({ host: '127.0.0.1', port: target.port, ...identity(client) })
  })
}

function identity(client: Client): ssh2.ConnectConfig {
  return {
    username: 'root',
    privateKey: readFileSync(client.key),
    readyTimeout: 60_000,
    algorithms: { cipher: ['aes128-gcm@openssh.com'], kex: ['curve25519-sha256'] },
  }
}
