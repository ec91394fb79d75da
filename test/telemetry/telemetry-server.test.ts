import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createPasswords } from '../../src/accounts/password.ts'
import { startServer } from '../helpers/start-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const missing = spawnSync('openssl', ['version']).error === undefined ? undefined : 'openssl'

describe('the telemetry of a server', () => {
  it.skipIf(missing !== undefined)(
    `is served over TLS of at least the configured version${missing === undefined ? '' : ` (skipped: ${missing} is missing)`}`,
    async () => {
      using folder = temporaryDirectory()
      const [key, certificate] = [folder.file('key.pem'), folder.file('cert.pem')]
      const made = spawnSync('openssl', [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...['-subj', '/CN=localhost', '-keyout', key, '-out', certificate],
      ])
      expect(made.status).toBe(0)
      const port = await freePort()
      const files = { certificate_file: certificate, certificate_key_file: key }
      await using running = await startServer({
        telemetry: { bind_port: port, ...files, min_tls_version: 13 },
      })
      expect(running.port).toBeGreaterThan(0)
      expect(await askTls(port, {})).toMatchObject({ status: 200, protocol: 'TLSv1.3' })
      await expect(askTls(port, { maxVersion: 'TLSv1.2' })).rejects.toThrow()
      await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow()
    },
  )

  it('answers those whom the file of names lets in, and tells nobody else anything', async () => {
    using folder = temporaryDirectory()
    const users = folder.file('users')
    const passwords = createPasswords({ algorithm: 'bcrypt', bcryptCost: 10 })
    writeFileSync(users, `# who may look\nada:${await passwords.hash('engine')}\n\n`)
    await passwords.close()
    const port = await freePort()
    await using running = await startServer({ telemetry: { bind_port: port, auth_user_file: users } })
    expect(running.port).toBeGreaterThan(0)
    const ask = async (path: string, credentials?: string) => {
      const headers =
        credentials === undefined
          ? undefined
          : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, headers === undefined ? {} : { headers })
      return {
        status: answer.status,
        text: await answer.text(),
        asks: answer.headers.get('www-authenticate'),
      }
    }
    expect((await ask('/metrics', 'ada:engine')).text).toContain('sftpgo_connections')
    expect((await ask('/readyz', 'ada:engine')).status).toBe(200)
    for (const wrong of [undefined, 'ada:difference', 'eve:engine', 'ada', ':', 'ada:']) {
      const refused = await ask('/metrics', wrong)
      expect([wrong, refused.status]).toEqual([wrong, 401])
      expect(refused.text).not.toContain('sftpgo_')
      expect(refused.asks).toContain('Basic')
      expect((await ask('/readyz', wrong)).status).toBe(401)
    }
  })

  it('keeps the server from starting with a file of names that cannot be read as one', async () => {
    using folder = temporaryDirectory()
    writeFileSync(folder.file('users'), 'ada\n')
    const telemetry = { bind_port: await freePort(), auth_user_file: folder.file('users') }
    await expect(startServer({ telemetry })).rejects.toThrow('line 1 is not NAME:HASH')
  })
})

function askTls(
  port: number,
  options: { readonly maxVersion?: 'TLSv1.2' },
): Promise<{ readonly status: number | undefined; readonly protocol: string | null }> {
  return new Promise((settle, reject) => {
    const asked = request({
      host: '127.0.0.1',
      port,
      path: '/healthz',
      rejectUnauthorized: false,
      ...options,
    })
    asked.once('error', reject)
    asked.once('response', (answer) => {
      const { socket } = answer
      const protocol = 'getProtocol' in socket ? (socket.getProtocol as () => string | null)() : null // of a TLS socket
      answer.resume().once('end', () => settle({ status: answer.statusCode, protocol }))
    })
    asked.end()
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  const address = server.address()
  await new Promise((settle) => server.close(settle))
  return typeof address === 'object' && address !== null ? address.port : 0
}
