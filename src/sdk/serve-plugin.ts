import { closeSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { servedIn, slots, type OfferOf } from '../slots/index.ts'
import type { AnySlot } from '../slots/slot.ts'
import { createIdentity, isCertificatePem } from '../wire/certificate.ts'
import { socketPathIn } from '../wire/endpoint.ts'
import {
  isProtocolVariable,
  negotiateVersion,
  readSurroundings,
  variables,
  type PluginSurroundings,
} from '../wire/environment.ts'
import { formatHandshake } from '../wire/handshake.ts'
import type { ListenAddress } from '../wire/listen.ts'
import { openPluginServer } from '../wire/server.ts'
import { captureOutput, type CapturedOutput } from './captured-output.ts'
import { watchHost } from './host-watch.ts'
import { takeLoaded } from './loading.ts'
import { createPluginLog } from './plugin-log.ts'
import { standardServices } from './standard-services.ts'

/** Slots by name, as in `slots/index.ts`. */
export type SlotTable = Readonly<Record<string, AnySlot>>

/** What an author offers: an object per slot, of which the host asks for one. */
export type Offers<Table extends SlotTable> = { readonly [N in keyof Table]?: OfferOf<Table[N]> }

/** What a plugin finds around it. */
export interface PluginContext<Settings> {
  /** The entry's `settings`, checked by the host against the plugin's schema; an empty object where the host has none. */
  readonly settings: Settings
  /** Lines for the host's log. */
  readonly log: Logger
  /** Fires when the plugin leaves. */
  readonly signal: AbortSignal
}

/** How a plugin is served. */
export interface ServeOptions<Settings> {
  /** Reads the settings, for hosts that did not check them. Throws when they are no good. */
  readonly parseSettings?: (value: unknown) => Settings
  /** Whether the plugin leaves when its host is gone. Default: true. */
  readonly leaveWithHost?: boolean
  /** Default: a Unix socket, and TCP on loopback on Windows. */
  readonly network?: 'unix' | 'tcp'
}

/** What an author hands over: the object per slot, or a function that makes it when settings and log are there. */
export type Plugin<Settings, Table extends SlotTable = typeof slots> =
  Offers<Table> | ((context: PluginContext<Settings>) => Offers<Table> | Promise<Offers<Table>>)

/**
 * Serves an author's object as a plugin process, and returns when the host has been told where. The process ends when
 * the host says so, when it is gone, and on SIGTERM. Started by hand, it says what it is and exits with code 1.
 */
export function servePlugin<Settings = Readonly<Record<string, unknown>>>(
  plugin: Plugin<Settings>,
  options: ServeOptions<Settings> = {},
): Promise<void> {
  return serveSlots(slots, plugin, options)
}

/** The same for a table of slots other than the house's own. */
export async function serveSlots<Settings, Table extends SlotTable>(
  table: Table,
  plugin: Plugin<Settings, Table>,
  options: ServeOptions<Settings> = {},
): Promise<void> {
  // A test that loads the plugin's file wants the object, not a process.
  if (takeLoaded(plugin)) return
  const output = earlyOutput ?? captureOutput()
  try {
    const asked = askedSlot(table)
    if (asked === undefined) return stop(output, byHandNotice(table))
    await serveSlot(asked, plugin, options, output)
  } catch (error) {
    stop(output, `Cannot serve the plugin: ${messageOf(error)}\n`)
  }
}

// Turned aside as soon as the SDK is loaded, so that what other modules print while they load cannot come before the
// handshake. Only in a process that a host started: elsewhere stdout is none of our business.
const earlyOutput = process.env[variables.versions] === undefined ? undefined : captureOutput()

function askedSlot(table: SlotTable): AnySlot | undefined {
  return Object.values(table).find(({ name, cookie: { key, value } }) => {
    if (key === '' || value === '') throw new Error(`The slot "${name}" has no cookie: tell its author`)
    return process.env[key] === value
  })
}

async function serveSlot<Settings, Table extends SlotTable>(
  slot: AnySlot,
  plugin: Plugin<Settings, Table>,
  options: ServeOptions<Settings>,
  output: CapturedOutput,
): Promise<void> {
  closeSealedFile()
  const surroundings = readSurroundings(process.env)
  const settings = settingsFrom(options)
  forgetProtocolVariables()
  const leaving = new AbortController()
  const log = createPluginLog({ write: (line) => output.writeLogLine(line) })
  const context = { settings, log, signal: leaving.signal }
  const offered: Readonly<Record<string, unknown>> = {
    ...(typeof plugin === 'function' ? await plugin(context) : plugin),
  }
  const offer = offered[slot.name]
  if (offer === undefined)
    throw new Error(`It fills "${Object.keys(offered).join('", "')}" and was asked for "${slot.name}"`)

  const tls = await tlsFor(surroundings)
  const leave = (code: number): void => {
    leaving.abort()
    server.stop()
    // Calls under way get their error on the way out; nothing here waits for them.
    setImmediate(() => process.exit(code))
  }
  const served = servedIn(slot, offer)
  const server = await openPluginServer({
    listen: listenAddress(surroundings, options.network),
    ...(tls !== undefined && { tls }),
    announces: served.announces,
    services: [
      ...served.services,
      ...standardServices({
        output: output.queue,
        leave: () => leave(0),
        slotServices: served.services.map(({ description }) => description.fullName),
      }),
    ],
  })
  watchSignals(output, log, leave)
  if (options.leaveWithHost ?? true) {
    const watch = watchHost({ leave: () => leave(0) })
    server.onConnections((count) => watch.connections(count))
  }
  output.writeFirstLine(
    formatHandshake(
      {
        version: negotiateVersion(slot.versions, surroundings.versions),
        address: server.address,
        ...(tls !== undefined && { certificate: tls.identity.certificateDer }),
      },
      surroundings,
    ),
  )
  output.captureStderr()
}

function settingsFrom<Settings>({ parseSettings }: ServeOptions<Settings>): Settings {
  const text = process.env[variables.settings]
  const value = text === undefined || text === '' ? {} : parsedSettings(text)
  // Without a parser the author says by the type parameter what his schema makes the host check.
  return parseSettings === undefined ? (value as Settings) : parseSettings(value)
}

function parsedSettings(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(`"${variables.settings}" is not JSON`, { cause })
  }
}

/** What a plugin starts itself must not take these for its own: it may be a plugin too. */
function forgetProtocolVariables(): void {
  for (const name of Object.keys(process.env)) if (isProtocolVariable(name)) delete process.env[name]
}

async function tlsFor({ clientCertificatePem }: PluginSurroundings) {
  if (clientCertificatePem === undefined) return undefined
  if (!isCertificatePem(clientCertificatePem)) {
    throw new Error(`"${variables.clientCertificate}" is not a certificate, and without it nobody is let in`)
  }
  return { identity: await createIdentity(), clientCertificatePem }
}

function listenAddress(surroundings: PluginSurroundings, network: 'unix' | 'tcp' | undefined): ListenAddress {
  const { socketFolder, socketGroup, minPort, maxPort } = surroundings
  const chosen = network ?? (process.platform === 'win32' ? 'tcp' : 'unix')
  if (chosen === 'tcp') return { network: 'tcp', minPort, maxPort }
  const path = socketPathIn(socketFolder ?? tmpdir())
  return { network: 'unix', path, ...(socketGroup !== undefined && { group: socketGroup }) }
}

function watchSignals(output: CapturedOutput, log: Logger, leave: (code: number) => void): void {
  // Ctrl-C reaches the host and us alike, and the host is the one who decides.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => leave(0))
  const fail = (message: string) => (error: unknown) => {
    output.flush()
    log.error(message, { error, stack: error instanceof Error ? (error.stack ?? '') : '' })
    process.exit(2)
  }
  process.on('uncaughtException', fail('The plugin ends: an error was not caught'))
  process.on('unhandledRejection', fail('The plugin ends: a promise was rejected and nobody looked'))
}

/** The host that runs a sealed copy of this very file hands it over as descriptor 3; it is read by now. */
function closeSealedFile(): void {
  try {
    // Any other descriptor 3 belongs to Node itself, which would not survive losing it.
    if (readlinkSync('/proc/self/fd/3').startsWith('/memfd:')) closeSync(3)
  } catch {
    // No such descriptor, or no /proc: nothing to close.
  }
}

function byHandNotice(table: SlotTable): string {
  return (
    `This program is a plugin for slot ${Object.keys(table).join(', ')} of an SFTP server.\n` +
    'It is not meant to be run by hand: a server starts it and talks to it.\n' +
    'Name it as "cmd" of a "plugins" entry in the configuration of the server.\n'
  )
}

function stop(output: CapturedOutput, message: string): void {
  output.flush()
  output.writeLogLine(message)
  process.exit(1)
}
