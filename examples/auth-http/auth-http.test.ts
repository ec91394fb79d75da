import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'

it.skipIf(needsOpenSsh !== '')(
  `auth-http lets the API decide, and tells its refusals from its failures${needsOpenSsh}`,
  async () => {
    await using api = await startApi()
    await using example = await startExample('auth-http', (file) => {
      api.home = file('ada')
      const settings = { url: api.url, token: { env: 'LOGIN_TOKEN' }, timeout_ms: 500 }
      return { settings, env: { LOGIN_TOKEN: 'a-token-for-the-test' } }
    })
    const login = (password: string) => example.sftp('ada', password, 'mkdir made', 'ls')
    expect(await login('engine')).toMatchObject({ status: 0, output: expect.stringContaining('made') })
    expect(api.asked[0]).toMatchObject({
      headers: { authorization: 'Bearer a-token-for-the-test' },
      body: { username: 'ada', password: 'engine', address: '127.0.0.1', protocol: 'SSH' },
    })

    const story = async (password: string): Promise<string> => {
      const { status, output } = await login(password)
      expect(status).not.toBe(0)
      const reference = /reference (\w+)/.exec(output)?.[1] ?? ''
      return example.command('why', reference).stdout
    }
    expect(await story('difference')).toContain('The API says 403')
    expect(await story('broken')).toContain('The API says 500')
    expect(await story('silent')).toContain('The API does not answer')
    expect(await story('nonsense')).toContain('The answer of the API is not JSON')
    expect(example.server.log()).not.toContain('a-token-for-the-test')
  },
  60_000,
)

/** An API that knows one user; some passwords make it misbehave. */
async function startApi() {
  const asked: { readonly headers: IncomingHttpHeaders; readonly body: { readonly password: string } }[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (part: string) => (text += part))
    request.on('end', () => {
      const body = JSON.parse(text) as { password: string } // what the plugin sends
      asked.push({ headers: request.headers, body })
      if (body.password === 'silent') return
      if (body.password === 'nonsense') return void response.end('<html>')
      response.statusCode = { engine: 200, broken: 500 }[body.password] ?? 403
      response.end(JSON.stringify({ home: api.home, permissions: ['*'] }))
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // it listens on a port
  const api = {
    url: `http://127.0.0.1:${port}/login`,
    home: '',
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
  return api
}
