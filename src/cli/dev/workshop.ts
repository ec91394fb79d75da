import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { Scope } from '../../base/scope.ts'
import {
  type BuildRequest,
  type BuiltPlugin,
  buildPlugin,
  isPluginFolder,
} from '../../packages/build-plugin.ts'
import { type LogRecord, openWorkshopServer } from '../../server/workshop-server.ts'
import type { SlotName } from '../../slots/index.ts'
import { authorSettings } from '../author-settings.ts'
import { callLine, callTitle } from './call-line.ts'
import { watchFiles } from './watch-files.ts'

/** What is tried out. */
export interface WorkshopRequest {
  /** A plugin's folder, a program, or a folder of programs. */
  readonly target: string
  readonly slot?: SlotName
  readonly interpreter?: string
  readonly fixtures?: string
  /** SFTPGo's `auth_options.scope` for an auth plugin. */
  readonly scope: number
  /** Lets a debugger in and suspends deadlines. */
  readonly inspect: boolean
  readonly print: (line: string) => void
}

/** A server around a plugin that is being written. */
export interface Workshop {
  readonly port: number
  close(): Promise<void>
}

/** Builds, starts, prints how to log in, and takes every saved change. Throws when the first build fails. */
export async function openWorkshop(request: WorkshopRequest): Promise<Workshop> {
  const { print, target, inspect } = request
  const scope = new Scope()
  try {
    const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-dev-'))
    scope.defer(() => rmSync(folder, { recursive: true, force: true }))
    if (inspect) allowDebugger(folder)
    const builder = createBuilder(request, folder)
    const first = await builder.build()
    const server = scope.own(
      await openWorkshopServer({
        ...{ folder, plugins: first.map((plugin) => entryOf(plugin, request)), patient: inspect },
        onCall: (call) => print(callLine(call)),
        onLog: (record) => tellRecord(record, print),
      }),
    )
    tellLogin(first, server, print)
    scope.own(
      watchFiles([target], async () => {
        const began = performance.now()
        try {
          const plugins = await builder.build()
          const problems = await server.take(plugins.map((plugin) => entryOf(plugin, request)))
          for (const problem of problems) print(`NOT TAKEN, the one before goes on: ${problem}`)
          if (problems.length === 0) print(`Taken after ${Math.round(performance.now() - began)} ms`)
        } catch (error) {
          print(`NOT TAKEN, the one before goes on: ${messageOf(error)}`)
        }
      }),
    )
    return { port: server.port, close: () => scope.close() }
  } catch (error) {
    await scope.close()
    throw error
  }
}

/** Builds what is in the target, each time into a folder of its own; the two before are kept for what still runs. */
function createBuilder(
  request: WorkshopRequest,
  folder: string,
): { build(): Promise<readonly BuiltPlugin[]> } {
  let count = 0
  const one = (target: string, name: string): Promise<BuiltPlugin> => {
    const { slot, interpreter, fixtures } = request
    const asked: BuildRequest = {
      ...{ target, into: join(folder, `build-${count}`, name) },
      ...(slot !== undefined && { slot }),
      ...(interpreter !== undefined && { interpreter }),
      ...(fixtures !== undefined && { fixtures }),
    }
    return buildPlugin(asked)
  }
  return {
    async build() {
      count += 1
      rmSync(join(folder, `build-${count - 3}`), { recursive: true, force: true })
      const { target } = request
      if (!statSync(target).isDirectory() || isPluginFolder(target)) return [await one(target, 'plugin')]
      return programsIn(target, one, request.print)
    },
  }
}

/** Every program of a folder. What is left out is named with the reason: a plugin that silently does nothing is a riddle. */
async function programsIn(
  folder: string,
  build: (target: string, name: string) => Promise<BuiltPlugin>,
  print: (line: string) => void,
): Promise<readonly BuiltPlugin[]> {
  const built: BuiltPlugin[] = []
  for (const name of readdirSync(folder).sort()) {
    const reason = whyNoProgram(join(folder, name))
    if (reason !== undefined) {
      print(`Left out "${name}": ${reason}`)
      continue
    }
    try {
      built.push(await build(join(folder, name), name))
    } catch (error) {
      print(`Left out "${name}": ${messageOf(error)}`)
    }
  }
  return built
}

function whyNoProgram(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return 'it leads nowhere'
  if (stats.isDirectory()) return isPluginFolder(path) ? undefined : 'it is a folder without a plugin.json'
  if (!stats.isFile()) return 'it is no file'
  const isScript = ['.js', '.mjs', '.cjs'].includes(extname(path))
  return isScript || (stats.mode & 0o111) !== 0 ? undefined : 'it is not executable (chmod +x)'
}

/** The entry of a configuration that runs what was built. */
function entryOf(
  plugin: BuiltPlugin,
  { scope, inspect }: WorkshopRequest,
): Readonly<Record<string, unknown>> {
  const { name, slot, program, environment } = plugin
  const { settings } = authorSettings(plugin)
  return {
    ...{
      type: slot,
      name,
      cmd: program.cmd,
      args: program.args,
      sha256sum: program.sha256sum,
      required: false,
    },
    ...(program.interpreterSha256 !== undefined && { interpreter_sha256: program.interpreterSha256 }),
    ...{ settings, env_vars: [...environment, ...(inspect ? ['NODE_OPTIONS'] : [])] },
    log_level: 'debug',
    // A debugger comes by a variable that no verified program is given.
    ...(inspect && { call_timeout: '1h', dev: true }),
    ...slotOptions(slot, scope),
  }
}

function slotOptions(slot: SlotName, scope: number): Readonly<Record<string, unknown>> {
  const known: { readonly [N in SlotName]?: Readonly<Record<string, unknown>> } = {
    auth: { auth_options: { scope } },
    notifier: { notifier_options: { fs_events: fileEvents, log_events: [1, 2, 3, 4, 5] } },
    kms: { kms_options: { scheme: 'workshop', encrypted_status: 'Workshop' } },
  }
  return known[slot] ?? {}
}

const fileEvents = ['download', 'upload', 'delete', 'rename', 'mkdir', 'rmdir', 'copy', 'ssh_cmd']

/** Node listens for a debugger on a port of its own choice, since two processes run while one takes over. */
function allowDebugger(folder: string): void {
  mkdirSync(join(folder, 'env.d'))
  writeFileSync(join(folder, 'env.d/debugger.env'), 'NODE_OPTIONS=--inspect=127.0.0.1:0\n')
}

function tellLogin(
  plugins: readonly BuiltPlugin[],
  {
    port,
    account,
  }: { readonly port: number; readonly account: { username: string; password: string } | undefined },
  print: (line: string) => void,
): void {
  const auth = plugins.find(({ slot }) => slot === 'auth')
  const login = account ?? sampleLogin(auth)
  print('')
  print(`  sftp -P ${port} ${login?.username ?? 'USER'}@127.0.0.1`)
  print(
    login === undefined ? '  log in as somebody whom the plugin lets in' : `  password  ${login.password}`,
  )
  print('')
  print('  Save a file, and the running server takes it. Files live in memory. Ctrl-C stops it.')
  if (plugins.some(({ slot }) => slot === 'kms'))
    print('  Nothing is sealed here by itself: "plugin test" asks a keeper.')
  print('')
  print(callTitle)
}

function sampleLogin(auth: BuiltPlugin | undefined): { username: string; password: string } | undefined {
  const accepted = auth?.fixtures.samples['accepted']
  if (typeof accepted !== 'object' || accepted === null) return undefined
  const { username, password } = accepted as Readonly<Record<string, unknown>> // looked at here
  return typeof username === 'string' && typeof password === 'string' ? { username, password } : undefined
}

/** What an author wants to see: what plugins say, and what goes wrong. */
function tellRecord({ level, message, fields }: LogRecord, print: (line: string) => void): void {
  const { plugin, text, said } = fields
  const name = typeof plugin === 'string' ? plugin : 'server'
  if (typeof text === 'string') return print(`${name}: ${level} ${text}${detailsOf(said)}`)
  if (message === 'plugin not ready after reload' || (level !== 'error' && level !== 'warn')) return
  const { reason, error } = fields
  print(`${name}: ${level} ${message}${detailsOf(reason ?? error)}`)
}

function detailsOf(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? `: ${value}` : ` ${JSON.stringify(value)}`
}
