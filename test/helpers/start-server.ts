import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkConfig } from '../../src/config/load-config.ts'
import { formatProblem } from '../../src/config/problems.ts'
import { createServer } from '../../src/server/create-server.ts'
import type { RunningServer, ServerOptions } from '../../src/server/running-server.ts'
import { type ProgramLogger, openLogger } from '../../src/telemetry/logger.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A whole server inside the test's own process, on a free port, in a folder of its own. */
export interface TestServer extends AsyncDisposable {
  readonly server: RunningServer
  readonly port: number
  /** The demo account of the first start. */
  readonly username: string
  readonly password: string
  readonly home: string
  readonly folder: string
  readonly configFile: string
  readonly logLines: readonly string[]
}

/** Starts a server with these settings over those of a fresh start; in `at` where it ran before, if that is given. */
export async function startServer(
  settings: Readonly<Record<string, unknown>> = {},
  options: Partial<ServerOptions> = {},
  at?: string,
): Promise<TestServer> {
  const made = at === undefined ? temporaryDirectory() : undefined
  const path = at ?? made?.path ?? ''
  const configFile = join(path, 'test.config.json')
  // Making an RSA key takes long; one kind is enough for a test.
  const own = { sftpd: { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['keys/id_ed25519'] } }
  const text = JSON.stringify({ ...own, ...settings })
  mkdirSync(join(path, 'keys'), { mode: 0o700, recursive: true })
  writeFileSync(configFile, text)
  const { config, problems } = checkConfig({ file: configFile, text, environment: {} })
  if (config === undefined) throw new Error(problems.map(formatProblem).join('\n'))
  const logLines: string[] = []
  const server = await createServer({ config, log: collectingLogger(logLines), ...options })
  const first = server.firstAccount
  return {
    server,
    port: server.addresses[0]?.port ?? 0,
    username: first?.username ?? '',
    password: first?.password ?? '',
    home: first?.home ?? '',
    folder: path,
    configFile,
    logLines,
    async [Symbol.asyncDispose]() {
      await server.close(0)
      made?.[Symbol.dispose]()
    },
  }
}

function collectingLogger(lines: string[]): ProgramLogger {
  const output = { write: (line: string) => void lines.push(line), dropped: 0, flush: async () => {} }
  return openLogger({ level: 'debug', format: 'json', output })
}
