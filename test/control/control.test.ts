import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/log.ts'
import { connectControl } from '../../src/control/control-client.ts'
import { type ControlOperations, openControlServer } from '../../src/control/control-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

async function open(folder: string, operations: ControlOperations) {
  const socketPath = join(folder, 'control.sock')
  const server = await openControlServer({ socketPath, operations, log: silentLogger })
  const client = await connectControl(socketPath)
  if (client === undefined) throw new Error('nobody answered')
  return {
    ...{ socketPath, client },
    async [Symbol.asyncDispose]() {
      client.close()
      await server.close()
    },
  }
}

describe('the control socket', () => {
  it('answers its owner alone', async () => {
    using folder = temporaryDirectory()
    await using control = await open(folder.path, { add: (input) => (input as number) + 1 })
    expect(statSync(control.socketPath).mode & 0o777).toBe(0o600)
    expect(await control.client.ask('add', 41)).toBe(42)
  })

  it('hands failures over with their codes, and knows what it does not know', async () => {
    using folder = temporaryDirectory()
    await using control = await open(folder.path, {
      fail() {
        throw Object.assign(new Error('Cannot do that'), { code: 'busy' })
      },
    })
    await expect(control.client.ask('fail')).rejects.toMatchObject({
      code: 'busy',
      message: 'Cannot do that',
    })
    await expect(control.client.ask('toString')).rejects.toMatchObject({ code: 'not-found' })
  })

  it('streams items in order, to a reader that takes its time too', async () => {
    using folder = temporaryDirectory()
    await using control = await open(folder.path, {
      async count(_input, call) {
        for (let index = 0; index < 5000; index += 1) await call.send({ index, text: 'x'.repeat(200) })
      },
    })
    let next = 0
    for await (const item of control.client.follow('count')) {
      expect(item).toMatchObject({ index: next })
      next += 1
    }
    expect(next).toBe(5000)
  })

  it('tells an operation when its asker has gone', async () => {
    using folder = temporaryDirectory()
    let gone = false
    await using control = await open(folder.path, {
      wait: (_input, call) =>
        new Promise((resolve) => {
          call.signal.addEventListener('abort', () => {
            gone = true
            resolve(undefined)
          })
        }),
    })
    control.client.ask('wait').catch(() => {})
    control.client.close()
    await until('the operation to hear of it', () => gone)
  })

  it('is reached in a folder whose path is longer than a socket may have', async () => {
    using folder = temporaryDirectory()
    const deep = folder.file(`${'d'.repeat(100)}/${'e'.repeat(100)}`)
    mkdirSync(deep, { recursive: true })
    await using control = await open(deep, { ping: () => 'pong' })
    expect(await control.client.ask('ping')).toBe('pong')
  })

  it('waits for a long answer, but not for a server that hangs', async () => {
    using folder = temporaryDirectory()
    const socketPath = folder.file('control.sock')
    const operations = { slow: () => new Promise((resolve) => setTimeout(() => resolve('done'), 400)) }
    const server = await openControlServer({ socketPath, operations, log: silentLogger })
    const patient = await connectControl(socketPath, { silentMs: 100 })
    expect(await patient?.ask('slow')).toBe('done')
    patient?.close()
    await server.close()

    const silent = createServer((socket) => socket.resume())
    await new Promise<void>((resolve) => silent.listen(socketPath, resolve))
    const client = await connectControl(socketPath, { silentMs: 100 })
    const hangs = { code: 'deadline', message: expect.stringContaining('seems to hang') as string }
    await expect(client?.ask('slow')).rejects.toMatchObject(hangs)
    await expect(client?.ask('slow')).rejects.toMatchObject(hangs)
    await new Promise((resolve) => silent.close(resolve))
  })

  it('finds nobody where no server runs', async () => {
    using folder = temporaryDirectory()
    expect(await connectControl(folder.file('control.sock'))).toBeUndefined()
    writeFileSync(folder.file('control.sock'), '')
    expect(await connectControl(folder.file('control.sock'))).toBeUndefined()
    expect(await connectControl('/nowhere/at/all/control.sock')).toBeUndefined()
  })
})
