import { chown } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { PluginError, messageOf } from '../base/errors.ts'
import { slots } from '../slots/index.ts'
import { createIdentity, type Identity } from '../wire/certificate.ts'
import { openChannel, type Channel } from '../wire/client.ts'
import { openSocketFolder, type SocketFolder } from '../wire/endpoint.ts'
import { announcementVariables } from '../wire/environment.ts'
import { parseHandshake, type Handshake } from '../wire/handshake.ts'
import { confinementOf } from './confinement.ts'
import { pluginEnvironment } from './environment.ts'
import { exitText } from './first-line.ts'
import type { HostDeath } from './host-death.ts'
import { launch, type PluginProcess } from './launch.ts'
import type { OutputReader } from './output.ts'
import type { PluginEntry } from './plugin-entry.ts'
import { endFamily, startTimeOf, type ProcessRecords } from './process-record.ts'
import type { VerifiedProgram } from './verified-copy.ts'

/** One life of one plugin process, from its first answer to its end. */
export interface Life {
  readonly process: PluginProcess
  readonly channel: Channel
  /** Gives back what the process no longer needs. Called once it is gone. */
  close(): Promise<void>
}

/** What a start needs beside the entry. */
export interface LifeSurroundings {
  readonly clock: Clock
  readonly hostDeath: HostDeath
  readonly records: ProcessRecords
  readonly output: OutputReader
  /** The server's own environment. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly startTimeoutMs: number
  /** Entries marked `dev` may run unverified. Default false. */
  readonly allowDev?: boolean
  /** Stops the start. */
  readonly signal: AbortSignal
  /** Told each step of the start, with the time it took. */
  readonly onStep?: (step: StartStep, tookMs: number) => void
  /** Told as soon as there is a process. */
  readonly onProcess?: (process: PluginProcess) => void
}

/** The steps of a start, in order. */
export type StartStep = 'verify' | 'launch' | 'first line' | 'connect'

/**
 * Starts a verified program and resolves when it has answered over its own connection.
 *
 * Whatever goes wrong, nothing is left: no process, no socket, no folder. Takes charge of `program`.
 */
export async function beginLife(
  entry: PluginEntry,
  program: VerifiedProgram,
  around: LifeSurroundings,
): Promise<Life> {
  const { clock, output, signal } = around
  const began = clock.monotonic()
  const remainingMs = (): number => Math.max(1, around.startTimeoutMs - (clock.monotonic() - began))
  const identity = entry.autoMtls === false ? undefined : await createIdentity()
  const sockets = await openSocketFolder()
  let process: PluginProcess | undefined
  try {
    const confinement = confinementOf(entry, program, around.hostDeath.limits)
    // Who is somebody else could not make a socket in a folder of ours.
    if (confinement?.user !== undefined) await chown(sockets.path, confinement.user.uid, confinement.user.gid)
    const environment = environmentOf(entry, around, identity, sockets)
    const step = stepper(around)
    process = await launch({ ...around, name: entry.name, program, environment, confinement })
    around.onProcess?.(process)
    record(entry, process, around, sockets)
    step('launch')
    const line = await process.firstLine(remainingMs(), signal)
    const handshake = readLine(entry, line, sockets, output)
    step('first line')
    const channel = await connect(entry, handshake, identity, remainingMs(), around, process)
    step('connect')
    attend(channel, around)
    return { process, channel, close: () => clean(process, program, sockets, around) }
  } catch (error) {
    process?.killGroup()
    await process?.exited
    await clean(process, program, sockets, around)
    throw error
  }
}

function stepper({ clock, onStep }: LifeSurroundings): (step: StartStep) => void {
  let last = clock.monotonic()
  return (step) => {
    const now = clock.monotonic()
    onStep?.(step, now - last)
    last = now
  }
}

function environmentOf(
  entry: PluginEntry,
  { environment, allowDev }: LifeSurroundings,
  identity: Identity | undefined,
  sockets: SocketFolder,
): Record<string, string> {
  const slot = slots[entry.type]
  const rules = {
    ...{ cmd: entry.cmd, envPrefix: entry.envPrefix ?? '', envVars: entry.envVars ?? [] },
    unverified: entry.dev === true && allowDev === true,
  }
  const protocol = announcementVariables({
    cookie: slot.cookie,
    versions: slot.versions,
    socketFolder: sockets.path,
    ...(identity !== undefined && { clientCertificatePem: identity.certificatePem }),
    ...(entry.settings !== undefined && { settings: entry.settings }),
  })
  return pluginEnvironment(rules, environment, protocol)
}

function record(
  entry: PluginEntry,
  { pid }: PluginProcess,
  { records }: LifeSurroundings,
  sockets: SocketFolder,
): void {
  records.add({ name: entry.name, pid, startedAt: startTimeOf(pid) ?? '', marker: sockets.path })
}

function readLine(entry: PluginEntry, line: string, sockets: SocketFolder, output: OutputReader): Handshake {
  const mutualTls = entry.autoMtls !== false
  try {
    const handshake = parseHandshake(line, { versions: slots[entry.type].versions, mutualTls })
    requireNearby(handshake, mutualTls, sockets)
    return handshake
  } catch (error) {
    if (!(error instanceof PluginError)) throw error
    const tail = output.tail()
    const said = tail === '' ? '' : `; it said: ${tail}`
    throw new PluginError(error.code, `Cannot start "${entry.name}": ${error.message}${said}`, {
      cause: error,
    })
  }
}

/** A plugin runs on this machine. Without certificates its socket must lie where nobody else can put one. */
function requireNearby({ address }: Handshake, mutualTls: boolean, sockets: SocketFolder): void {
  if (address.network === 'tcp') {
    if (/^(?:127(?:\.\d{1,3}){3}|localhost|::1)$/.test(address.host)) return
    throw new PluginError('bad-handshake', `The address "${address.host}" is not on this machine`)
  }
  if (mutualTls || dirname(address.path) === sockets.path) return
  throw new PluginError(
    'bad-handshake',
    'The socket is not in the folder that was given, and mutual TLS is off',
  )
}

async function connect(
  entry: PluginEntry,
  { address, certificate }: Handshake,
  identity: Identity | undefined,
  timeoutMs: number,
  { signal }: LifeSurroundings,
  process: PluginProcess,
): Promise<Channel> {
  const given = identity !== undefined && certificate !== undefined
  const tls = given ? { identity, pluginCertificate: certificate } : undefined
  try {
    return await openChannel({ address, timeoutMs, signal, ...(tls !== undefined && { tls }) })
  } catch (error) {
    throw await connectError(entry.name, error, process, signal)
  }
}

/** A process that died explains more than a connection that could not be made. */
async function connectError(
  name: string,
  error: unknown,
  process: PluginProcess,
  signal: AbortSignal,
): Promise<PluginError> {
  if (signal.aborted) return new PluginError('stopped', `"${name}" was stopped while it started`)
  await Promise.race([process.exited, new Promise((resolve) => void setTimeout(resolve, 50))])
  if (process.exit !== undefined)
    return new PluginError('exited', `"${name}" ended after its first line, ${exitText(process.exit)}`)
  const code = error instanceof PluginError ? error.code : 'connection-refused'
  if (code === 'deadline')
    return new PluginError('hung', `"${name}" printed its first line and then did not answer`, {
      cause: error,
    })
  return new PluginError(code, `Cannot connect to "${name}": ${messageOf(error)}`, { cause: error })
}

/** Reads for ever what the plugin's code prints, no faster than it may be written. */
function attend(channel: Channel, { output, clock }: LifeSurroundings): void {
  const read = async (): Promise<void> => {
    for await (const { from, bytes } of channel.output()) {
      output.take(bytes, `stdio-${from}`)
      const pauseMs = output.pauseMs
      if (pauseMs > 0)
        await new Promise<void>((resolve) => void clock.after(Math.min(pauseMs, 1000), resolve))
    }
  }
  // How it ends makes no difference: the exit of the process is what counts.
  read().catch(() => {})
  channel.attendBroker().catch(() => {})
}

async function clean(
  process: PluginProcess | undefined,
  program: VerifiedProgram,
  sockets: SocketFolder,
  { records }: LifeSurroundings,
): Promise<void> {
  if (process !== undefined) {
    records.remove(process.pid)
    await endFamily(sockets.path)
  }
  await program.close()
  await sockets.close()
}
