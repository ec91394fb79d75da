import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import { HealthCheckResponse_ServingStatus, HealthDefinition } from '../../src/gen/health.ts'
import { GRPCStdioDefinition, StdioData_Channel } from '../../src/gen/plugin/stdio.ts'
import { KMSDefinition } from '../../src/gen/slots/kms.ts'
import { createIdentity } from '../../src/wire/certificate.ts'
import { openChannel } from '../../src/wire/client.ts'
import { openSocketFolder, socketPathIn } from '../../src/wire/endpoint.ts'
import { openPluginServer, serve } from '../../src/wire/server.ts'

const question = { payload: 'p', key: '', additionalData: '', mode: 0, url: '', masterKey: '' }
const mebibyte = 1 << 20

// Where the other side is cut off decides what this side has read, is about to write and waits for. The last ones lie
// behind the first answer of three megabytes, where Node 20 writes twice in one turn and then reads no more.
const places = [4_500, 6_000, 70_000, 1_000_000, 3_256_000, 3_257_700, 3_257_921]

describe('the end of a connection whose other side was killed', () => {
  it.each(places)('is noticed when it comes after %i bytes, with calls under way', async (afterBytes) => {
    await using line = await openLine({ cutAfterBytes: afterBytes })
    const { decrypt } = line.channel.caller(KMSDefinition, { timeoutMs: 60_000 })
    const calls = [1, 2, 3].map(() => decrypt(question).then(() => 'answered', codeOf))
    await line.cut
    await expect(within(10_000, line.channel.closed)).resolves.toBe('noticed')
    expect(line.channel.isOpen).toBe(false)
    expect(await Promise.all(calls)).not.toContain('deadline')
  })

  it.each(places)('is noticed when it comes after %i bytes, with output nobody reads', async (afterBytes) => {
    await using line = await openLine({ cutAfterBytes: afterBytes })
    const output = line.channel.output()
    await output.next()
    const { decrypt } = line.channel.caller(KMSDefinition, { timeoutMs: 60_000 })
    const calls = [1, 2, 3].map(() => decrypt(question).catch(codeOf))
    await line.cut
    await expect(within(10_000, line.channel.closed)).resolves.toBe('noticed')
    await Promise.all(calls)
  })

  it.each(['at once', 'after it stood still'])('is noticed when nothing is under way, %s', async (when) => {
    await using line = await openLine({ cutAfterBytes: Infinity })
    if (when !== 'at once') line.pause()
    line.cutNow()
    await expect(within(10_000, line.channel.closed)).resolves.toBe('noticed')
  })
})

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error
}

async function within(ms: number, event: Promise<void>): Promise<'noticed' | 'not noticed'> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<'not noticed'>((resolve) => {
    timer = setTimeout(() => resolve('not noticed'), ms)
  })
  const first = await Promise.race([event.then(() => 'noticed' as const), patience])
  clearTimeout(timer)
  return first
}

/** A channel to a plugin through a line that is cut as the kernel cuts the one of a killed process. */
async function openLine({ cutAfterBytes }: { readonly cutAfterBytes: number }) {
  const scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const [host, plugin] = await Promise.all([createIdentity(), createIdentity()])
  const server = await openPluginServer({
    listen: { network: 'unix', path: socketPathIn(folder.path) },
    tls: { identity: plugin, clientCertificatePem: host.certificatePem },
    services: [
      serve(HealthDefinition, {
        check: async () => ({ status: HealthCheckResponse_ServingStatus.SERVING }),
        async *watch() {},
      }),
      serve(KMSDefinition, {
        encrypt: async () => ({ payload: '', key: '', mode: 0 }),
        decrypt: async () => ({ payload: 'x'.repeat(3 * mebibyte) }),
      }),
      serve(GRPCStdioDefinition, {
        async *streamStdio() {
          for (let piece = 0; piece < 5_000; piece += 1)
            yield { channel: StdioData_Channel.STDOUT, data: Buffer.alloc(1_024) }
        },
      }),
    ],
  })
  scope.defer(() => server.stop())
  const path = socketPathIn(folder.path)
  const line = await openCutLine(path, (server.address as { readonly path: string }).path, cutAfterBytes)
  scope.defer(() => void line.close())
  const tls = { identity: host, pluginCertificate: plugin.certificateDer }
  const channel = scope.own(await openChannel({ address: { network: 'unix', path }, tls, timeoutMs: 30_000 }))
  return { channel, ...line, [Symbol.asyncDispose]: () => scope.close() }
}

async function openCutLine(path: string, target: string, cutAfterBytes: number) {
  let cutNow = (): void => {}
  let pause = (): void => {}
  let told = (): void => {}
  const cut = new Promise<void>((resolve) => (told = resolve))
  const door = createServer((near: Socket) => {
    const far = connect(target)
    let left = cutAfterBytes
    cutNow = () => {
      near.destroy()
      far.destroy()
      told()
    }
    pause = () => void near.pause()
    near.on('error', () => {}).on('data', (bytes) => far.write(bytes))
    near.on('close', () => far.destroy())
    far
      .on('error', () => {})
      .on('data', (bytes) => {
        if (left === 0) return
        const passed = bytes.subarray(0, Math.min(left, bytes.length))
        left -= passed.length
        // What was written before a process is killed still arrives.
        near.write(passed, left === 0 ? cutNow : undefined)
      })
  })
  await new Promise<void>((resolve) => door.listen(path, resolve))
  return { cut, cutNow: () => cutNow(), pause: () => pause(), close: () => door.close() }
}
