import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fileDescriptors } from '../../../src/gen/descriptors.ts'
import { connectSlot } from '../../../src/slots/index.ts'
import { startPlugin } from '../../helpers/plugin-process.ts'
import { temporaryDirectory } from '../../helpers/temporary-directory.ts'
import { findPythonWithGrpc } from './toolchain.ts'

const found = findPythonWithGrpc()
const python = 'python' in found ? found.python : ''
const reason = 'missing' in found ? ` (skipped: ${found.missing})` : ''

const script = join(import.meta.dirname, 'python/auth_plugin.py')
const attempt = { username: 'ada', password: 'engine', address: '192.0.2.7', protocol: 'SSH', user: {} }

describe.skipIf('missing' in found)(`our channel and a plugin in Python${reason}`, () => {
  it.each([
    ['mutual TLS', true],
    ['plaintext', false],
  ])('asks it over %s, and it leaves when it is told to', async (_name, mutualTls) => {
    using directory = temporaryDirectory()
    const descriptors = directory.file('auth.binpb')
    writeFileSync(descriptors, descriptorSet())
    await using plugin = await startPlugin(script, {
      mutualTls,
      command: [python, script],
      environment: { AUTH_DESCRIPTORS: descriptors },
    })
    const channel = await plugin.connect()
    const api = connectSlot('auth', channel, { timeoutMs: 5_000 })
    await expect(api.checkPassword(attempt)).resolves.toMatchObject({
      granted: true,
      user: { username: 'ada' },
    })
    await expect(api.checkPassword({ ...attempt, password: 'x' })).resolves.toEqual({
      ...{ granted: false, reason: 'wrong näme or password', certain: true },
    })
    await expect(api.checkPassword({ ...attempt, username: 'down' })).rejects.toMatchObject({
      code: 'failed',
    })
    await expect(api.checkPassword({ ...attempt, username: 'bug' })).resolves.toMatchObject({
      certain: false,
    })
    await expect(api.checkPublicKey({ ...attempt, publicKey: 'k' })).rejects.toMatchObject({
      code: 'unimplemented',
    })
    await expect(channel.health()).resolves.toBe('unimplemented')
    for await (const _ of channel.output()) throw new Error('It has no stdio service')
    await expect(channel.shutdown()).resolves.toBe(true)
    expect(await plugin.exited()).toEqual({ code: 0, signal: null })
  })
})

/** A FileDescriptorSet is its files, each with tag 1 and its length before it. */
function descriptorSet(): Buffer {
  const file = fileDescriptors.find(({ name }) => name === 'slots/auth.proto')
  const bytes = Buffer.from(file?.descriptor ?? '', 'base64')
  const length: number[] = []
  for (let rest = bytes.length; ; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) return Buffer.concat([Buffer.from([10, ...length]), bytes])
  }
}
