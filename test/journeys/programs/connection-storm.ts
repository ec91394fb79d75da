// Opens connections at a given rate from fifty addresses, one in ten of them to log in with a key; the others leave at
// once, say what is no SSH, or try names that nobody has. Tells its parent in the end how long each login took.
// node connection-storm.mjs PORT CONNECTIONS_PER_SECOND MILLISECONDS KEY_FILE
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { Client } from 'ssh2'

const [port = 0, rate = 0, forMs = 0] = process.argv.slice(2, 5).map(Number)
const privateKey = readFileSync(process.argv[5] ?? '')

/** What the parent hears. */
export interface StormReport {
  readonly opened: number
  /** Of the guests: milliseconds until SFTP answered, null for those who never came in. */
  readonly guestsMs: readonly (number | null)[]
}

const guests: Promise<number | null>[] = []
const began = performance.now()
let opened = 0
const timer = setInterval(() => {
  const elapsed = performance.now() - began
  while (opened < (elapsed / 1000) * rate) open(opened++)
  if (elapsed < forMs) return
  clearInterval(timer)
  void Promise.all(guests).then((guestsMs) => {
    process.send?.({ opened, guestsMs } satisfies StormReport, () => process.exit())
  })
}, 10)

function open(n: number): void {
  if (n % 10 === 0) guests.push(visit(from(`127.0.1.${1 + ((n / 10) % 5)}`)))
  else offend(from(`127.0.2.${1 + (n % 45)}`), Math.floor(n / 45) % 3)
}

function from(localAddress: string): Socket {
  const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
  socket.on('error', () => {})
  return socket
}

function visit(sock: Socket): Promise<number | null> {
  const since = performance.now()
  return new Promise((resolve) => {
    const client = new Client()
    client.on('error', () => {})
    client.once('close', () => resolve(null))
    client.once('ready', () =>
      client.sftp((error) => {
        if (error === undefined) resolve(performance.now() - since)
        client.end()
      }),
    )
    client.connect({ sock, username: 'guest', privateKey, readyTimeout: 40_000 })
  })
}

function offend(sock: Socket, how: number): void {
  if (how === 0) return void sock.once('connect', () => sock.destroy())
  if (how === 1) return void sock.end('GET / HTTP/1.1\r\n\r\n')
  const client = new Client()
  client.on('error', () => {})
  client.connect({ sock, username: 'root', password: 'toor', readyTimeout: 40_000 })
}
