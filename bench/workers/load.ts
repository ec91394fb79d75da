// A client that works as hard as it may: logins, or small files in sessions that stay open. Started by bench/workers.ts.
// Arguments: what, port, key file, lanes, seconds. Sends how often it was done, and the CPU seconds that took here.
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import ssh2, { type SFTPWrapper } from 'ssh2'

const [what = '', port = '', keyFile = '', lanes = '', seconds = ''] = process.argv.slice(2)
const privateKey = readFileSync(keyFile)
const content = Buffer.alloc(4096, 'x')
let begun = Infinity
let end = Infinity
let done = 0

process.once('message', () => {
  // The first second warms both sides up.
  begun = Date.now() + 1_000
  end = begun + Number(seconds) * 1_000
  const before = process.cpuUsage()
  const work = what === 'logins' ? logins : files
  Promise.all(Array.from({ length: Number(lanes) }, (_, lane) => work(lane))).then(
    () => {
      const { user, system } = process.cpuUsage(before)
      process.send?.({ done, cpu: (user + system) / 1e6 }, () => process.exit(0))
    },
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
})
process.send?.('ready')

function count(): void {
  const now = Date.now()
  if (now >= begun && now < end) done += 1
}

async function logins(): Promise<void> {
  while (Date.now() < end) {
    const client = await login()
    count()
    client.end()
  }
}

async function files(lane: number): Promise<void> {
  const client = await login()
  const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
    client.sftp((error, session) => (error === undefined ? resolve(session) : reject(error)))
  })
  for (let n = 0; Date.now() < end; n += 1) {
    const path = `/${process.pid}-${lane}-${n % 50}`
    const handle = await called<Buffer>((then) => sftp.open(path, 'w', then))
    await called<void>((then) => sftp.write(handle, content, 0, content.length, 0, then))
    await called<void>((then) => sftp.close(handle, then))
    count()
  }
  client.end()
}

function called<T>(call: (then: (error: Error | null | undefined, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => {
      if (error === undefined || error === null)
        resolve(value as T) // the callback of a call that gives one
      else reject(error)
    })
  })
}

function login(): Promise<ssh2.Client> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client()
    client.once('ready', () => resolve(client))
    client.on('error', reject)
    // Without this the client's own waiting for more to send costs 40 ms a turn.
    const sock = connectTcp({ host: '127.0.0.1', port: Number(port), noDelay: true })
    client.connect({
      ...{ sock, username: 'root', privateKey, readyTimeout: 60_000 },
      algorithms: { cipher: ['aes128-gcm@openssh.com'], kex: ['curve25519-sha256'] },
    })
  })
}
