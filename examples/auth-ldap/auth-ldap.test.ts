import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer, connect, type AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'
import { temporaryDirectory } from '../../test/helpers/temporary-directory.ts'
import { until } from '../../test/helpers/until.ts'

const slapd = ['/usr/sbin/slapd', '/usr/lib/openldap/slapd', '/usr/local/libexec/slapd'].find((path) =>
  existsSync(path),
)
const needed = slapd === undefined ? ' (skipped: slapd is missing)' : needsOpenSsh

it.skipIf(needed !== '')(
  `auth-ldap binds against OpenLDAP, and tells wrong passwords from a directory that is down${needed}`,
  async () => {
    await using directory = await startDirectory()
    await using example = await startExample('auth-ldap', (file) => ({
      settings: {
        ...{ url: directory.url, base_dn: 'ou=people,dc=test', home: file('homes') },
        ...{ bind_dn: 'cn=admin,dc=test', bind_password: { env: 'LDAP_PASSWORD' } },
      },
      env: { LDAP_PASSWORD: 'admin-secret' },
    }))
    const login = async (username: string, password: string): Promise<string> => {
      const { status, output } = await example.sftp(username, password, 'mkdir made', 'ls')
      if (status === 0) return output
      return example.command('why', /reference (\w+)/.exec(output)?.[1] ?? '').stdout
    }
    expect(await login('ada', 'engine')).toContain('made')
    expect(await login('ada', 'difference')).toContain('Wrong name or password')
    expect(await login('nobody', 'engine')).toContain('Wrong name or password')
    expect(await login('*', 'engine')).toContain('Wrong name or password')
    expect(await login('twin', 'engine')).toContain('Wrong name or password')
    expect(await login('ad*', 'engine')).toContain('Wrong name or password')
    await directory.stop()
    expect(await login('ada', 'engine')).toContain('The directory cannot be asked')
    expect(example.server.log()).not.toContain('admin-secret')
  },
  60_000,
)

/** OpenLDAP on a free port of loopback, with its own files, and these people. */
async function startDirectory() {
  const folder = temporaryDirectory()
  mkdirSync(folder.file('data'))
  writeFileSync(folder.file('slapd.conf'), configuration(folder.path))
  writeFileSync(folder.file('people.ldif'), people)
  const added = spawnSync('slapadd', ['-f', folder.file('slapd.conf'), '-l', folder.file('people.ldif')], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
  })
  if (added.status !== 0) throw new Error(`slapadd: ${added.stderr}`)
  const port = await freePort()
  const url = `ldap://127.0.0.1:${port}`
  // With -d it stays in the foreground.
  const child = spawn(slapd ?? '', ['-d', '0', '-h', url, '-f', folder.file('slapd.conf')], {
    stdio: 'ignore',
  })
  const ended = once(child, 'exit')
  await until('slapd listens', () => canConnect(port))
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return {
    url,
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
      folder[Symbol.dispose]()
    },
  }
}

function configuration(folder: string): string {
  const schemas = ['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`)
  return [
    ...schemas,
    `pidfile ${folder}/slapd.pid`,
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    'database mdb',
    'suffix "dc=test"',
    'rootdn "cn=admin,dc=test"',
    'rootpw admin-secret',
    `directory ${folder}/data`,
    '',
  ].join('\n')
}

const person = (place: string, uid: string): string =>
  `dn: ${place}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\nuserPassword: engine\n`
const people = [
  'dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n',
  'dn: ou=people,dc=test\nobjectClass: organizationalUnit\nou: people\n',
  'dn: ou=guests,ou=people,dc=test\nobjectClass: organizationalUnit\nou: guests\n',
  person('uid=ada,ou=people,dc=test', 'ada'),
  person('uid=twin,ou=people,dc=test', 'twin'),
  person('uid=twin,ou=guests,ou=people,dc=test', 'twin'),
].join('\n')

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // it listens on a port
  await new Promise((closed) => server.close(closed))
  return port
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => settle(true)).once('error', () => settle(false))
    socket.once('connect', () => socket.destroy())
  })
}
