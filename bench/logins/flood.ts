// Tries wrong passwords at a given rate, whether or not the server keeps up: three on a connection, as OpenSSH's
// client does.
// A process of its own, so that it does not disturb who measures. node flood.js PORT ATTEMPTS_PER_SECOND
import { connect } from 'node:net'
import ssh2, { type AuthHandlerMiddleware } from 'ssh2'

const [port, rate] = process.argv.slice(2).map(Number)
if (port === undefined || rate === undefined) throw new Error('flood PORT ATTEMPTS_PER_SECOND')

const triesEach = 3
/** More connections than this are not held open at once: the machine has other work. */
const mostOpen = 2_000
let open = 0
let count = 0
let due = 0

setInterval(() => {
  due += rate / triesEach / 50
  for (; due >= 1 && open < mostOpen; due -= 1) attack(port, count++)
}, 20)

function attack(to: number, n: number): void {
  open += 1
  let tries = 0
  const authHandler: AuthHandlerMiddleware = (_methods, _partial, next) => {
    if (tries === triesEach) return void client.end()
    tries += 1
    next({ type: 'password', username: `user${n % 500}`, password: `wrong${n}-${tries}` })
    process.send?.('attempt')
  }
  const client = new ssh2.Client()
  client.on('error', () => {})
  client.once('close', () => (open -= 1))
  // From many addresses: one alone may hold few connections that are not logged in.
  const localAddress = `127.0.${1 + (n % 100)}.${1 + (Math.floor(n / 100) % 100)}`
  const sock = connect({ host: '127.0.0.1', port: to, localAddress, noDelay: true })
  sock.on('error', () => {})
  client.connect({ sock, username: `user${n % 500}`, authHandler, readyTimeout: 60_000 })
}
