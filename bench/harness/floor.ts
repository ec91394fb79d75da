// What this machine needs at least: a process that moves the bytes from TCP to a file, or only ciphers them.
// Prints the seconds of CPU it used. Started by machineFloor(); the sender is a process of its own.
import { spawn } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [kind = 'copy', sizeText = '256', place = '/tmp'] = process.argv.slice(2)
const size = Number(sizeText) * 1024 * 1024

if (kind === 'send') sendAll()
else if (kind === 'copy') copyFromTcp(place)
else print(cipherAlone())

/** Ciphers the bytes in packets of 32 KiB with one long-lived context. */
function cipherAlone(): number {
  const ivBytes = kind === 'aes-256-ctr' ? 16 : 12
  const keyBytes = kind === 'aes-128-gcm' ? 16 : 32
  const before = process.cpuUsage()
  // The types know each family by its literal name; `kind` is one of them.
  const cipher = createCipheriv(kind as 'aes-128-gcm', Buffer.alloc(keyBytes), Buffer.alloc(ivBytes), {
    authTagLength: 16,
  })
  const packet = Buffer.alloc(32 * 1024)
  for (let done = 0; done < size; done += packet.length) cipher.update(packet)
  return used(before)
}

/** Receives the bytes on a loopback connection, always into the same memory, and writes them to a file. */
function copyFromTcp(folder: string): void {
  const path = join(folder, 'floor')
  const fd = openSync(path, 'w')
  const self = fileURLToPath(import.meta.url)
  const sender = spawn(process.execPath, [self, 'send', sizeText], { stdio: ['ignore', 'pipe', 'inherit'] })
  sender.stdout.once('data', (port: Buffer) => {
    const memory = Buffer.alloc(256 * 1024)
    const before = process.cpuUsage()
    let received = 0
    const callback = (bytes: number): boolean => {
      received += bytes
      writeSync(fd, memory, 0, bytes)
      return true
    }
    const onread = { buffer: memory, callback }
    createConnection({ port: Number(port), host: '127.0.0.1', onread }).on('end', () => {
      const seconds = used(before)
      closeSync(fd)
      rmSync(path)
      if (received !== size) throw new Error(`${received} of ${size} bytes arrived`)
      print(seconds)
    })
  })
}

/** Says on which port it waits, and sends the bytes to who comes first. */
function sendAll(): void {
  const chunk = Buffer.alloc(256 * 1024)
  const server = createServer((socket) => {
    server.close()
    let left = size
    const pump = (): void => {
      while (left > 0) {
        const part = left < chunk.length ? chunk.subarray(0, left) : chunk
        left -= part.length
        if (!socket.write(part)) {
          socket.once('drain', pump)
          return
        }
      }
      socket.end()
    }
    pump()
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    process.stdout.write(`${address !== null && typeof address === 'object' ? address.port : 0}\n`)
  })
}

function used(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function print(seconds: number): void {
  process.stdout.write(`${seconds.toFixed(3)}\n`)
}
