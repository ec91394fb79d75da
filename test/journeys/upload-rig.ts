import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ssh2, { type SFTPWrapper } from 'ssh2'
import { expect } from 'vitest'
import { messageOf } from '../../src/base/errors.ts'
import { problemOf, type Acknowledged, type Disk, type Told } from '../events/ledger.ts'
import { clientKey } from '../helpers/client-key.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { recorderNotes } from '../helpers/recorder-notes.ts'
import { startServerProcess, type ServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const users = Array.from({ length: 20 }, (_, n) => `user${n}`)
const firstUser = 'user0'
const uploadsAtOncePerUser = 10
const downloadsAtOnce = 50
const sizeBytes = 40_000
/** No name of the last life was used before. */
const lastRound = 9_999

/** How the server of a rig is set up. */
export interface UploadRigOptions {
  /** The section `events` of its configuration. */
  readonly events?: object
  /** Where its state lies; default beside everything else. */
  readonly stateFolder?: string
  /** What the notifier asks for beside uploads, renames and deletes. */
  readonly alsoTold?: readonly string[]
}

/** How clients upload. */
export interface UploadHow {
  /** Files of each client; default without end. */
  readonly most?: number
  /** Whether a client goes on after an operation that failed. Default false. */
  readonly goesOn?: boolean
  readonly signal?: AbortSignal
}

/** A real server with a real notifier, 20 users whose clients keep 200 uploads under way, and what must hold afterwards. */
export async function prepareUploadRig({ events = {}, stateFolder, alsoTold = [] }: UploadRigOptions = {}) {
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
      ...{ events, state_dir: stateFolder ?? folder.file('state') },
      plugins: [
        {
          ...{ name: 'recorder', type: 'notifier', cmd, sha256sum, args: [folder.path] },
          notifier_options: { fs_events: ['upload', 'rename', 'delete', ...alsoTold] },
        },
      ],
    }),
  )
  const ledger: Acknowledged[] = []
  const servers: ServerProcess[] = []
  const refused: string[] = []
  const rig = {
    ledger,
    /** What clients were told of operations that failed, where they went on (`goesOn`). */
    refused,
    folder: folder.path,
    stateFolder: stateFolder ?? folder.file('state'),
    config,
    async start(): Promise<ServerProcess> {
      const server = await startServerProcess(config)
      servers.push(server)
      return server
    },
    /** From now on the notifier answers nothing; the function returned ends that. */
    holdPlugin() {
      writeFileSync(folder.file('hold'), '')
      return () => rmSync(folder.file('hold'))
    },
    killPlugin() {
      try {
        process.kill(Number(readFileSync(folder.file('recorder.pid'), 'utf8')), 'SIGKILL')
      } catch {
        // It has just ended by itself.
      }
    },
    /** What the first user hears at the CLOSE of each of so many downloads: nothing, or why not. */
    async download(server: ServerProcess, path: string, times: number): Promise<readonly string[]> {
      const client = new ssh2.Client()
      try {
        const sftp = await connected(client, { username: firstUser, port: server.port, privateKey })
        const heard: string[] = []
        const lane = async (): Promise<void> => {
          for (let n = 0; n < times; n += downloadsAtOnce)
            await get(sftp, path).catch((error: unknown) => void heard.push(messageOf(error)))
        }
        await Promise.all(Array.from({ length: downloadsAtOnce }, lane))
        return heard
      } finally {
        client.destroy()
      }
    },
    told: toldIn,
    /** Uploads until the server goes away, `signal` fires, or each user has `most` files more. */
    async upload(server: ServerProcess, round: number, how: UploadHow = {}): Promise<void> {
      const { port } = server
      await Promise.all(users.map((username) => uploadAs(username, round, port, how).catch(() => {})))
    },
    /** Waits until so many more operations are acknowledged: clients are in, and at work. */
    async atWork(operations: number): Promise<void> {
      const before = ledger.length
      await until('uploads are under way', () => ledger.length >= before + operations, 30_000)
    },
    /** A life without a fault, in which everything that waited is told. */
    async lastLife(): Promise<void> {
      const server = await rig.start()
      await rig.upload(server, lastRound, { most: 1 })
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

  async function uploadAs(
    username: string,
    round: number,
    port: number,
    { most = 1_000_000, goesOn = false, signal }: UploadHow,
  ): Promise<void> {
    const client = new ssh2.Client()
    const gone = new Promise<never>((_, reject) => client.once('close', () => reject(new Error('closed'))))
    gone.catch(() => {})
    try {
      const sftp = await connected(client, { username, port, privateKey })
      await Promise.all(
        Array.from({ length: uploadsAtOncePerUser }, async (_, lane) => {
          for (let n = 0; n < most; n += 1) {
            if (signal?.aborted === true) return
            const once = putOne(username, sftp, gone, `/${round}-${lane}-${n}`, n % 3 === 2)
            await (goesOn ? once.catch(refusedOnce) : once)
          }
        }),
      )
    } finally {
      client.destroy()
    }
  }

  /** A name for the time being, then the real one; and some of them are fetched away. */
  async function putOne(
    username: string,
    sftp: SFTPWrapper,
    gone: Promise<never>,
    path: string,
    isFetched: boolean,
  ): Promise<void> {
    const done = async (key: string, operation: Promise<void>): Promise<void> => {
      const began = performance.now()
      await Promise.race([operation, gone])
      ledger.push({ username, key, began, acknowledged: performance.now() })
    }
    const bytes = contentOf(username, path)
    await done(`upload ${path}.part  ${sizeBytes}`, put(sftp, `${path}.part`, bytes))
    await done(
      `rename ${path}.part ${path} 0`,
      answered((reply) => sftp.rename(`${path}.part`, path, reply)),
    )
    if (isFetched)
      await done(
        `delete ${path}  ${sizeBytes}`,
        answered((reply) => sftp.unlink(path, reply)),
      )
  }

  async function refusedOnce(error: unknown): Promise<void> {
    // The connection stays: only this operation failed.
    if (error instanceof Error && error.message === 'closed') throw error
    refused.push(messageOf(error))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }

  function toldIn(): Told[] {
    return recorderNotes(folder.path).map(({ id, action, username, path, status, target, size }) => ({
      ...{ id, username, status },
      key: `${action} ${path} ${target} ${size}`,
    }))
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
      const giveUp = (error: Error): void => sftp.close(handle, () => reject(error))
      const half = bytes.length / 2
      sftp.write(handle, bytes, 0, half, 0, (firstError) => {
        if (firstError !== undefined && firstError !== null) return giveUp(firstError)
        sftp.write(handle, bytes, half, half, half, (secondError) => {
          if (secondError !== undefined && secondError !== null) return giveUp(secondError)
          sftp.close(handle, (closeError) =>
            closeError === undefined || closeError === null ? resolve() : reject(closeError),
          )
        })
      })
    })
  })
}

/** Opens, reads some and closes; resolves when the server said OK to the close. */
function get(sftp: SFTPWrapper, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    sftp.open(path, 'r', (openError, handle) => {
      if (openError !== undefined) return reject(openError)
      sftp.read(handle, Buffer.alloc(100), 0, 100, 0, () => {
        sftp.close(handle, (error) => (error === undefined || error === null ? resolve() : reject(error)))
      })
    })
  })
}
