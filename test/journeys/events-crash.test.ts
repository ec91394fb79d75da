import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ssh2, { type SFTPWrapper } from 'ssh2'
import { describe, expect, it } from 'vitest'
import { problemOf, type Acknowledged, type Disk, type Told } from '../events/ledger.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { recordFigure } from '../helpers/soak-figures.ts'
import { startServerProcess, type ServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

/** `npm run soak` kills more often. */
const rounds = Number(process.env['SFTPGO_TS_SERVER_CRASHES'] ?? 5)
/** So many rounds on one folder: what is judged afterwards stays small, and a failure comes early. */
const roundsPerFolder = 5
const folders = Array.from({ length: Math.ceil(rounds / roundsPerFolder) }, (_, n) => n + 1)
const sum = { rounds: 0, acknowledged: 0 }
const users = Array.from({ length: 20 }, (_, n) => `user${n}`)
const uploadsAtOncePerUser = 10
const sizeBytes = 40_000

describe('with a real server, clients and plugin, every acknowledged operation is told in order though', () => {
  it.each(folders)(
    `the server is killed at ${roundsPerFolder} random moments of 200 uploads (part %i of ${folders.length})`,
    { timeout: 240_000 },
    async () => {
      await using rig = await prepare()
      for (let round = 0; round < roundsPerFolder; round += 1) {
        const server = await rig.start()
        const uploading = rig.upload(server, round)
        await pause(200 + Math.random() * 700)
        // Every third time the plugin goes with it.
        if (round % 3 === 2) rig.killPlugin()
        await server.stop('SIGKILL')
        await uploading
      }
      await rig.lastLife()
      expect(rig.ledger.length).toBeGreaterThan(roundsPerFolder * 20)
      expect(rig.problem()).toBeUndefined()
      note(rig.ledger.length)
    },
  )

  it(
    'the plugin is killed under load, and the server is stopped with SIGTERM',
    { timeout: 60_000 },
    async () => {
      await using rig = await prepare()
      const server = await rig.start()
      const uploading = rig.upload(server, 0)
      for (let kill = 0; kill < 2; kill += 1) {
        await pause(400)
        rig.killPlugin()
      }
      await server.stop('SIGTERM')
      await uploading
      await rig.lastLife()
      expect(rig.ledger.length).toBeGreaterThan(20)
      expect(rig.problem()).toBeUndefined()
    },
  )
})

function note(acknowledged: number): void {
  sum.rounds += roundsPerFolder
  sum.acknowledged += acknowledged
  if (sum.rounds < rounds) return
  recordFigure(
    `F-10 ${sum.rounds} kills of the whole server amid 200 uploads, every third with the plugin`,
    `${sum.acknowledged} operations acknowledged: all told, in order`,
    'none lost, none without its operation',
  )
}

async function prepare() {
  const folder = temporaryDirectory()
  const { cmd, sha256sum } = await fixturePlugin('recorder')
  const { publicKey, privateKey } = clientKey()
  const homeOf = (username: string): string => folder.file(`homes/${username}`)
  for (const username of users) mkdirSync(homeOf(username), { recursive: true })
  mkdirSync(folder.file('keys'), { mode: 0o700 })
  writeFileSync(folder.file('heard'), '')
  writeFileSync(
    folder.file('users.json'),
    JSON.stringify({
      users: users.map((username) => ({
        ...{ username, status: 1, home_dir: homeOf(username), public_keys: [publicKey] },
        permissions: { '/': ['*'] },
      })),
    }),
  )
  const config = folder.file('crash.config.json')
  writeFileSync(
    config,
    JSON.stringify({
      sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['keys/id_ed25519'] },
      common: { upload_mode: 1, max_per_host_connections: 0, grace_time: 1 },
      data_provider: { users_file: 'users.json' },
      plugins: [
        {
          ...{ name: 'recorder', type: 'notifier', cmd, sha256sum, args: [folder.path] },
          notifier_options: { fs_events: ['upload', 'rename', 'delete'] },
        },
      ],
    }),
  )
  const ledger: Acknowledged[] = []
  const servers: ServerProcess[] = []
  const rig = {
    ledger,
    async start(): Promise<ServerProcess> {
      const server = await startServerProcess(config)
      servers.push(server)
      return server
    },
    killPlugin() {
      try {
        process.kill(Number(readFileSync(folder.file('recorder.pid'), 'utf8')), 'SIGKILL')
      } catch {
        // It has just ended by itself.
      }
    },
    /** Uploads until the server goes away, or until each user has `most` files more. */
    async upload(server: ServerProcess, round: number, most = 1_000_000): Promise<void> {
      const port = server.port
      await Promise.all(users.map((username) => uploadAs(username, round, port, most).catch(() => {})))
    },
    /** A life without a fault, in which everything that waited is told. */
    async lastLife(): Promise<void> {
      const server = await rig.start()
      await rig.upload(server, roundsPerFolder, 1)
      await until(
        'everything acknowledged is told',
        () => {
          const keys = new Set(toldIn().map(({ username, key }) => username + key))
          return ledger.every(({ username, key }) => keys.has(username + key))
        },
        60_000,
      )
      expect(await server.stop('SIGTERM')).toBe(0)
    },
    problem: () => brokenFile() ?? problemOf(ledger, toldIn(), diskNow()),
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
  return rig

  async function uploadAs(username: string, round: number, port: number, most: number): Promise<void> {
    const client = new ssh2.Client()
    const gone = new Promise<never>((_, reject) => client.once('close', () => reject(new Error('closed'))))
    gone.catch(() => {})
    try {
      const sftp = await connected(client, { username, port, privateKey })
      await Promise.all(
        Array.from({ length: uploadsAtOncePerUser }, async (_, lane) => {
          for (let n = 0; n < most; n += 1) {
            const path = `/${round}-${lane}-${n}`
            const done = async (key: string, operation: Promise<void>): Promise<void> => {
              const began = performance.now()
              await Promise.race([operation, gone])
              ledger.push({ username, key, began, acknowledged: performance.now() })
            }
            // A name for the time being, then the real one; and some of them are fetched away.
            const bytes = contentOf(username, path)
            await done(`upload ${path}.part  ${sizeBytes}`, put(sftp, `${path}.part`, bytes))
            await done(
              `rename ${path}.part ${path} 0`,
              answered((reply) => sftp.rename(`${path}.part`, path, reply)),
            )
            if (n % 3 === 2)
              await done(
                `delete ${path}  ${sizeBytes}`,
                answered((reply) => sftp.unlink(path, reply)),
              )
          }
        }),
      )
    } finally {
      client.destroy()
    }
  }

  function toldIn(): Told[] {
    return readFileSync(folder.file('heard'), 'utf8')
      .split('\n')
      .filter((line) => line.endsWith(']'))
      .map((line) => {
        const [id, action, username, path, status, target, size] = JSON.parse(line) as RecordedLine // the recorder's
        return { id, username, key: `${action} ${path} ${target} ${size}`, status }
      })
  }

  function diskNow(): Disk {
    return new Map(
      filesThere().map(({ username, name }) => [
        `${username}/${name}`,
        statSync(join(homeOf(username), name)).size,
      ]),
    )
  }

  /** A name that holds anything but the bytes that were sent under it. */
  function brokenFile(): string | undefined {
    const broken = filesThere().find(({ username, name }) => {
      const sent = contentOf(username, `/${name.replace('.part', '')}`)
      return !readFileSync(join(homeOf(username), name)).equals(sent)
    })
    return broken === undefined ? undefined : `"${broken.name}" of ${broken.username} is not what was sent`
  }

  function filesThere(): { username: string; name: string }[] {
    return users.flatMap((username) => readdirSync(homeOf(username)).map((name) => ({ username, name })))
  }
}

type RecordedLine = [string, string, string, string, number, string, number]

function contentOf(username: string, path: string): Buffer {
  return Buffer.alloc(sizeBytes, `${username}${path};`)
}

/** What a request without an answer but its status comes to. */
function answered(ask: (reply: (error: Error | null | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) =>
    ask((error) => (error === undefined || error === null ? resolve() : reject(error))),
  )
}

function connected(
  client: ssh2.Client,
  { username, port, privateKey }: { username: string; port: number; privateKey: string },
): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    client
      .once('ready', () =>
        client.sftp((error, sftp) => (error === undefined ? resolve(sftp) : reject(error))),
      )
      .on('error', reject)
      .on('close', () => reject(new Error('closed')))
      .connect({ host: '127.0.0.1', port, username, privateKey, readyTimeout: 10_000 })
  })
}

/** Opens, writes in two pieces and closes; resolves when the server said OK to the close. */
function put(sftp: SFTPWrapper, path: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    sftp.open(path, 'w', (openError, handle) => {
      if (openError !== undefined) return reject(openError)
      const half = bytes.length / 2
      sftp.write(handle, bytes, 0, half, 0, (firstError) => {
        if (firstError !== undefined && firstError !== null) return reject(firstError)
        sftp.write(handle, bytes, half, half, half, (secondError) => {
          if (secondError !== undefined && secondError !== null) return reject(secondError)
          sftp.close(handle, (closeError) =>
            closeError === undefined || closeError === null ? resolve() : reject(closeError),
          )
        })
      })
    })
  })
}

function clientKey(): { publicKey: string; privateKey: string } {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
  const parsed = ssh2.utils.parseKey(pem)
  if (parsed instanceof Error) throw parsed
  const [key] = [parsed].flat()
  return { publicKey: `ssh-rsa ${key?.getPublicSSH().toString('base64') ?? ''}`, privateKey: pem }
}

/** A random moment is the point of these tests, not a wait for something. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
