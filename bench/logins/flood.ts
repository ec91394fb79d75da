// Tries wrong passwords, a process of its own so that it does not disturb who measures.
// node flood.js PORT ATTEMPTS_PER_SECOND
import ssh2, { type AuthHandlerMiddleware } from 'ssh2'

const [port, rate] = process.argv.slice(2).map(Number)
if (port === undefined || rate === undefined) throw new Error('flood PORT ATTEMPTS_PER_SECOND')

// Each connection tries five times, a second apart by the server's own delay.
const atOnce = rate
for (let n = 0; n < atOnce; n++) setTimeout(() => attack(n), (n / atOnce) * 1000)

function attack(n: number): void {
  let tries = 0
  const authHandler: AuthHandlerMiddleware = (_methods, _partial, next) => {
    tries += 1
    if (tries > 5) return void client.end()
    next({ type: 'password', username: `user${n}`, password: `wrong${tries}` })
    process.send?.('attempt')
  }
  const client = new ssh2.Client()
  client.on('error', () => {})
  client.on('close', () => setTimeout(() => attack(n), 50))
  client.connect({
    ...{ host: '127.0.0.1', port: port ?? 0, username: `user${n}`, authHandler, readyTimeout: 120_000 },
    // From many addresses: one alone may hold few connections that are not logged in.
    localAddress: `127.0.${1 + (n % 40)}.${1 + Math.floor(n / 40)}`,
  })
}
