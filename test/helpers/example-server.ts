import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { runCommand, startServerProcess, type CommandResult, type ServerProcess } from './server-process.ts'
import { sftpBatch, withoutOpenSsh, type SftpResult } from './openssh.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** For the title of a test that needs OpenSSH's client. */
export const needsOpenSsh = withoutOpenSsh === undefined ? '' : ` (skipped: ${withoutOpenSsh} is missing)`

/** How an example is put to work. */
export interface ExampleOptions {
  readonly settings?: Readonly<Record<string, unknown>>
  /** Further keys of its entry, such as `auth_options`. */
  readonly entry?: Readonly<Record<string, unknown>>
  /** Further keys of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
  /** Where its sources are. Default: the folder of that name in `examples`. */
  readonly folder?: string
}

/** An example, packed, installed, enabled and at work in a server of its own. */
export interface ExampleServer extends AsyncDisposable {
  readonly server: ServerProcess
  readonly folder: string
  /** A path in the folder of this test. */
  readonly file: (name: string) => string
  readonly sftp: (username: string, password: string, ...batch: readonly string[]) => Promise<SftpResult>
  /** A command of the product about this server; throws what it said unless it succeeds. */
  readonly command: (...args: readonly string[]) => CommandResult
}

/** Does what the README of an example says, by the product's own commands, and starts a server. */
export async function startExample(
  name: string,
  options: ExampleOptions | ((file: (name: string) => string) => ExampleOptions) = {},
): Promise<ExampleServer> {
  const folder = temporaryDirectory()
  const chosen = typeof options === 'function' ? options((one) => folder.file(one)) : options
  const { settings = {}, entry = {}, config = {}, env = {} } = chosen
  const configFile = folder.file('test.config.json')
  const own = { sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['keys/id_ed25519'] } }
  mkdirSync(folder.file('keys'), { mode: 0o700 })
  writeFileSync(configFile, JSON.stringify({ ...own, ...config }))
  const command = (...args: readonly string[]): CommandResult => {
    const result = runCommand(args, { env })
    if (result.status === 0) return result
    throw new Error(`"${args.join(' ')}" ended with ${result.status}: ${result.stdout}${result.stderr}`)
  }
  const about = (...args: readonly string[]): CommandResult => command(...args, '--config', configFile)
  const source = chosen.folder ?? resolve(import.meta.dirname, '../../examples', name)
  const packed = JSON.parse(
    command('plugin', 'pack', source, '--out', folder.file('release'), '--json').stdout,
  ) as {
    readonly archives: readonly [{ readonly file: string }]
  } // what the command prints
  about('plugin', 'install', packed.archives[0].file)
  about('plugin', 'enable', name, '--settings', JSON.stringify(settings))
  const written = JSON.parse(readFileSync(configFile, 'utf8')) as { plugins: [object] } // just written
  writeFileSync(configFile, JSON.stringify({ ...written, plugins: [{ ...written.plugins[0], ...entry }] }))
  const server = await startServerProcess(configFile, { env })
  return {
    server,
    folder: folder.path,
    file: (one) => folder.file(one),
    command: about,
    sftp: (username, password, ...batch) =>
      sftpBatch({ port: server.port, username, password, batch, cwd: folder.path }),
    async [Symbol.asyncDispose]() {
      await server.stop()
      folder[Symbol.dispose]()
    },
  }
}
