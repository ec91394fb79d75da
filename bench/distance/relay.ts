// A long way to a server: takes connections on a free port and carries what comes to another port, later. Started by
// bench/distance.ts. Arguments: the port of the server, milliseconds each way. It holds any amount: only time is added.
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'

const [port = '', delay = ''] = process.argv.slice(2)
const delayMs = Number(delay)

const server = createServer({ noDelay: true }, (near) => {
  const far = createConnection({ port: Number(port), host: '127.0.0.1', noDelay: true })
  carry(near, far)
  carry(far, near)
})
server.listen(0, '127.0.0.1', () => {
  // It listens on TCP.
  process.send?.((server.address() as AddressInfo).port)
})
process.on('disconnect', () => process.exit(0))

function carry(from: Socket, to: Socket): void {
  const underway: { readonly due: number; readonly bytes: Buffer | undefined }[] = []
  let timer: NodeJS.Timeout | undefined
  const arrive = (): void => {
    timer = undefined
    const now = performance.now()
    for (let next = underway[0]; next !== undefined && next.due <= now; next = underway[0]) {
      underway.shift()
      if (next.bytes === undefined) to.end()
      else to.write(next.bytes)
    }
    if (underway[0] !== undefined) timer = setTimeout(arrive, Math.max(1, underway[0].due - now))
  }
  const leave = (bytes: Buffer | undefined): void => {
    underway.push({ due: performance.now() + delayMs, bytes })
    timer ??= setTimeout(arrive, delayMs)
  }
  from.on('data', (bytes: Buffer) => leave(bytes))
  from.on('end', () => leave(undefined))
  from.on('error', () => to.destroy())
  from.on('close', () => setTimeout(() => to.destroy(), delayMs + 1_000).unref())
}
