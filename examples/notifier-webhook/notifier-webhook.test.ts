import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'
import { until } from '../../test/helpers/until.ts'

const key = 'a-key-for-the-test'

it.skipIf(needsOpenSsh !== '')(
  `notifier-webhook tells signed events until the receiver has them, under one id${needsOpenSsh}`,
  async () => {
    await using receiver = await startReceiver({ failures: 2 })
    await using example = await startExample('notifier-webhook', {
      settings: { url: receiver.url, key: { env: 'HOOK_KEY' } },
      entry: { notifier_options: { fs_events: ['upload'] } },
      env: { HOOK_KEY: key },
    })
    writeFileSync(example.file('report.txt'), 'twelve bytes')
    const put = await example.sftp('demo', example.server.password ?? '', 'put report.txt')
    expect(put).toMatchObject({ status: 0 })
    await until('the receiver has the event', () => receiver.told.length === 3, 20_000)

    const [first] = receiver.told
    for (const { id, signature, body } of receiver.told) {
      expect(signature).toBe(`sha256=${createHmac('sha256', key).update(body).digest('hex')}`)
      expect([id, body]).toEqual([first?.id, first?.body])
    }
    expect(JSON.parse(first?.body ?? '')).toMatchObject({
      ...{ id: first?.id, action: 'upload', username: 'demo', path: '/report.txt', bytes: 12, ok: true },
    })
    expect(receiver.done).toEqual(new Set([first?.id]))
    expect(example.server.log()).not.toContain(key)
  },
  60_000,
)

/** A receiver that fails some times first, and does the work of each id once. */
async function startReceiver({ failures }: { readonly failures: number }) {
  const told: { readonly id: string; readonly signature: string; readonly body: string }[] = []
  const done = new Set<string>()
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (part: string) => (body += part))
    request.on('end', () => {
      const { 'idempotency-key': id, 'x-signature': signature } = request.headers
      told.push({ id: String(id), signature: String(signature), body })
      response.statusCode = told.length > failures ? 204 : 503
      if (response.statusCode === 204) done.add(String(id))
      response.end()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // it listens on a port
  return {
    url: `http://127.0.0.1:${port}/hook`,
    told,
    done,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}
