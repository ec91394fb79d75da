// Tries wrong passwords at a given rate, whether or not the server keeps up: three on a connection, as OpenSSH's
// client does. Tells its parent of each refusal how many milliseconds it took.
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

// By the clock, not by the ticks: a timer of 20 ms comes after 21 or more, and the flood would be a tenth too small.
const began = performance.now()
let skipped = 0
setInterval(() => {
  const due = ((performance.now() - began) / 1000) * (rate / triesEach) - skipped
  while (count < due && open < mostOpen) attack(port, count++)
  // What could not be offered in time is not made up for later, by a flood that is larger than was asked for.
  skipped += Math.max(0, Math.floor(due) - count)
}, 20)

function attack(to: number, n: number): void {
  open += 1
  let tries = 0
  let tried = 0
  const authHandler: AuthHandlerMiddleware = (_methods, _partial, next) => {
    if (tries > 0) process.send?.(performance.now() - tried)
    if (tries === triesEach) return void client.end()
    tries += 1
    tried = performance.now()
    next({ type: 'password', username: `user${n % 500}`, password: `wrong${n}-${tries}` })
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
