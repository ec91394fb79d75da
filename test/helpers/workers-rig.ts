import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import ssh2, { type SFTPWrapper } from 'ssh2'
import { clientKey } from './client-key.ts'
import { fixturePlugin } from './fixture-plugin.ts'
import { type RecorderNote, recorderNotes } from './recorder-notes.ts'
import { type ServerProcess, startServerProcess } from './server-process.ts'
import { temporaryDirectory } from './temporary-directory.ts'
import { until } from './until.ts'

/** A server of several workers as a process, with a notifier that writes down what it is told, and its clients. */
export interface WorkersRig extends AsyncDisposable {
  readonly server: ServerProcess
  readonly config: string
  readonly port: number
  home(username: string): string
  /** The processes of the workers that live, by number. */
  workers(): ReadonlyMap<number, number>
  /** Logs in and opens a session; rejects when either is refused. */
  connect(username: string): Promise<RigClient>
  /** A session that a certain worker serves: others are opened and closed until one is. */
  connectTo(worker: number, username: string): Promise<RigClient>
  /** A session with each of two workers. */
  connectToBoth(username: string): Promise<readonly [RigClient, RigClient]>
  told(): readonly RecorderNote[]
  /** Writes the configuration anew with these settings. */
  configure(settings: RigSettings): void
  start(): Promise<ServerProcess>
}

/** One client with its session. */
export interface RigClient {
  readonly client: ssh2.Client
  readonly sftp: SFTPWrapper
  /** The worker that serves it. */
  readonly worker: number
  readonly closed: Promise<void>
  put(path: string, bytes: Buffer): Promise<void>
  /** Opens a file for writing and writes to it, and leaves it open. */
  hold(path: string, bytes: Buffer): Promise<HeldUpload>
  end(): Promise<void>
}

/** An upload that is not complete. */
export interface HeldUpload {
  write(bytes: Buffer): Promise<void>
  close(): Promise<void>
}

type RigSettings = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** Prepares users `ada` and `ben` with a key, and starts the server with two workers. */
export async function startWorkers(
  settings: RigSettings = {},
  users: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
): Promise<WorkersRig> {
  const folder = temporaryDirectory()
  const { cmd, sha256sum } = await fixturePlugin('recorder')
  const { publicKey, privateKey } = clientKey()
  const home = (username: string): string => folder.file(`homes/${username}`)
  const names = ['ada', 'ben']
  for (const name of names) mkdirSync(home(name), { recursive: true })
  mkdirSync(folder.file('keys'), { mode: 0o700 })
  writeFileSync(folder.file('heard'), '')
  writeFileSync(
    folder.file('users.json'),
    JSON.stringify({
      users: names.map((username) => ({
        ...{ username, status: 1, home_dir: home(username), public_keys: [publicKey] },
        permissions: { '/': ['*'] },
        ...users[username],
      })),
    }),
  )
  const config = folder.file('two.config.json')
  let port = 0
  const configure = (own: RigSettings): void =>
    writeFileSync(
      config,
      JSON.stringify({
        ...own,
        sftpd: {
          ...{ bindings: [{ port, address: '127.0.0.1' }], host_keys: ['keys/id_ed25519'], workers: 2 },
          ...own['sftpd'],
        },
        common: { upload_mode: 1, max_per_host_connections: 0, grace_time: 2, ...own['common'] },
        data_provider: { users_file: 'users.json' },
        plugins: [
          {
            ...{ name: 'recorder', type: 'notifier', cmd, sha256sum, args: [folder.path] },
            notifier_options: { fs_events: ['upload', 'first-upload'] },
          },
        ],
      }),
    )
  configure(settings)
  const servers: ServerProcess[] = []
  const start = async (): Promise<ServerProcess> => {
    const server = await startServerProcess(config)
    servers.push(server)
    return server
  }
  let server = await start()
  port = server.port
  const clients = new Set<ssh2.Client>()
  const rig: WorkersRig = {
    get server() {
      return server
    },
    config,
    get port() {
      return server.port
    },
    home,
    configure,
    async start() {
      server = await start()
      return server
    },
    workers() {
      const found = new Map<number, number>()
      for (const { msg, worker, pid } of records(server)) {
        if (msg === 'worker started') found.set(Number(worker), Number(pid))
        if (msg === 'worker ended and is replaced') found.delete(Number(worker))
      }
      return found
    },
    async connect(username) {
      const client = new ssh2.Client()
      clients.add(client)
      const before = openings(server, username).length
      const sftp = await connected(client, { username, port: server.port, privateKey })
      const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
      client.on('error', () => {})
      await until('the session is in the log', () => openings(server, username).length > before)
      const worker = openings(server, username).at(-1) ?? 0
      return {
        ...{ client, sftp, worker, closed },
        async put(path, bytes) {
          const upload = await hold(sftp, path)
          try {
            await upload.write(bytes)
          } catch (error) {
            await upload.close().catch(() => {})
            throw error
          }
          await upload.close()
        },
        async hold(path, bytes) {
          const upload = await hold(sftp, path)
          await upload.write(bytes)
          return upload
        },
        async end() {
          const before = closings(server).length
          client.end()
          await closed
          // The client sees its end first; only then is its place free.
          await until('the end is in the log', () => closings(server).length > before)
        },
      }
    },
    async connectTo(worker, username) {
      for (let tries = 0; tries < 20; tries += 1) {
        const client = await rig.connect(username)
        if (client.worker === worker) return client
        await client.end()
      }
      throw new Error(`Worker ${worker} serves nobody`)
    },
    connectToBoth: async (username) => [await rig.connectTo(1, username), await rig.connectTo(2, username)],
    told: () => recorderNotes(folder.path),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy()
      for (const one of servers) await one[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
  return rig
}

/** Names in a folder, hidden ones of uploads included. */
export function namesIn(folder: string): readonly string[] {
  return readdirSync(folder).sort()
}

/** What the log says so far. */
function records(server: ServerProcess): readonly Readonly<Record<string, unknown>>[] {
  return server
    .log()
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>) // lines of our own logger
}

/** The workers that opened a session of this user, in order. */
function openings(server: ServerProcess, username: string): readonly number[] {
  return records(server)
    .filter(({ msg, user }) => msg === 'session opened' && user === username)
    .map(({ worker }) => Number(worker))
}

/** The connections that have ended, in order. */
function closings(server: ServerProcess): readonly object[] {
  return records(server).filter(({ msg }) => msg === 'connection closed')
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
      .once('close', () => reject(new Error('closed')))
      .connect({ host: '127.0.0.1', port, username, privateKey, readyTimeout: 10_000 })
  })
}

async function hold(sftp: SFTPWrapper, path: string): Promise<HeldUpload> {
  const handle = await new Promise<Buffer>((resolve, reject) => {
    sftp.open(path, 'w', (error, opened) => (error === undefined ? resolve(opened) : reject(error)))
  })
  let position = 0
  return {
    write: (more) =>
      new Promise((resolve, reject) => {
        sftp.write(handle, more, 0, more.length, position, (error) => {
          if (error === undefined || error === null) resolve()
          else reject(error)
        })
        position += more.length
      }),
    close: () =>
      new Promise((resolve, reject) => {
        sftp.close(handle, (error) => (error === undefined || error === null ? resolve() : reject(error)))
      }),
  }
}
