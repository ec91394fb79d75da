import { systemClock } from '../../base/clock.ts'
import { PluginError } from '../../base/errors.ts'
import type { HostDeath } from '../../host/host-death.ts'
import { pluginEnvironment } from '../../host/environment.ts'
import { launch, type ExitReport, type PluginProcess } from '../../host/launch.ts'
import type { OutputReader, OutputStream } from '../../host/output.ts'
import { endFamily } from '../../host/process-record.ts'
import { verifiedCopy, type VerifiedProgram } from '../../host/verified-copy.ts'
import { connectSlot, slots, type SlotApi, type SlotName } from '../../slots/index.ts'
import { createIdentity, type Identity } from '../../wire/certificate.ts'
import { openChannel, type Channel } from '../../wire/client.ts'
import { openSocketFolder } from '../../wire/endpoint.ts'
import { announcementVariables } from '../../wire/environment.ts'
import { parseHandshake } from '../../wire/handshake.ts'
import { askAsStranger } from '../../wire/stranger.ts'
import type { BuiltPlugin } from '../build-plugin.ts'

/** A plugin as the kit runs it. */
export interface RunRequest {
  readonly plugin: BuiltPlugin
  readonly settings: Readonly<Record<string, unknown>>
  /** Names of variables of this process that the plugin may see. */
  readonly environment: readonly string[]
  readonly runFolder: string
  readonly hostDeath: HostDeath
  readonly startTimeoutMs: number
  /** Gets every byte that the plugin writes, whole. */
  readonly onOutput: (bytes: Buffer, stream: OutputStream) => void
}

/** One life of a plugin, with everything open that a host keeps to itself. */
export interface PluginRun {
  /** The first line as it came. */
  readonly line: string
  readonly startMs: number
  readonly process: PluginProcess
  readonly channel: Channel
  readonly api: SlotApi<SlotName>
  /** What stands in the environment of the plugin and of what it starts. */
  readonly marker: string
  /** Connects as somebody who has another certificate, or none. */
  connectAs(identity: Identity | undefined): Promise<Channel>
  /** Asks over another gRPC library: the number of the status and the bytes of the answer. */
  askAsStranger(path: string, message: Uint8Array): ReturnType<typeof askAsStranger>
  /** Ends it the hard way, with all that it started. */
  end(): Promise<ExitReport>
}

/** Starts a built plugin and connects to it. Throws `PluginError`, with nothing left behind, when that cannot be done. */
export async function startRun(request: RunRequest): Promise<PluginRun> {
  const { plugin, startTimeoutMs } = request
  const identity = await createIdentity()
  const sockets = await openSocketFolder()
  const began = performance.now()
  const started = await launchBuilt(request, {
    cookie: slots[plugin.slot].cookie,
    versions: slots[plugin.slot].versions,
    socketFolder: sockets.path,
    clientCertificatePem: identity.certificatePem,
    settings: request.settings,
  }).catch(async (error: unknown) => {
    await sockets.close()
    throw error
  })
  const { process, close } = started
  const end = async (): Promise<ExitReport> => {
    process.killGroup()
    const exit = await process.exited
    await endFamily(sockets.path)
    await close()
    await sockets.close()
    return exit
  }
  try {
    const line = await process.firstLine(startTimeoutMs, new AbortController().signal)
    const { address, certificate } = parseHandshake(line, {
      versions: slots[plugin.slot].versions,
      mutualTls: true,
    })
    const connectAs = (as: Identity | undefined): Promise<Channel> => {
      const tls =
        as === undefined || certificate === undefined
          ? undefined
          : { identity: as, pluginCertificate: certificate }
      return openChannel({ address, timeoutMs: 3_000, ...(tls !== undefined && { tls }) })
    }
    const channel = await connectAs(identity)
    const startMs = performance.now() - began
    attend(channel, request)
    const api = connectSlot(plugin.slot, channel, { timeoutMs: slots[plugin.slot].callTimeoutMs })
    return {
      ...{ line, startMs, process, channel, api, marker: sockets.path, connectAs, end },
      askAsStranger(path, message) {
        if (certificate === undefined) throw new PluginError('bad-handshake', 'It gave no certificate')
        const to = { address, identity, pluginCertificate: certificate, timeoutMs: 5_000 }
        return askAsStranger(to, path, message)
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}

/** Starts it as a person would who found the file: without a cookie. Resolves with how it ended; undefined: it stays. */
export async function runByHand(
  request: RunRequest,
  patienceMs: number,
): Promise<{ readonly exit: ExitReport | undefined; readonly printed: boolean }> {
  const { process, printed, close } = await launchBuilt(request, undefined)
  const exit = await Promise.race([
    process.exited,
    new Promise<undefined>((resolve) => void setTimeout(() => resolve(undefined), patienceMs).unref()),
  ])
  process.killGroup()
  await process.exited
  await close()
  return { exit, printed: printed() }
}

interface Launched {
  readonly process: PluginProcess
  /** Whether it wrote to its standard output. */
  readonly printed: () => boolean
  readonly close: () => Promise<void>
}

async function launchBuilt(
  request: RunRequest,
  announcement: Parameters<typeof announcementVariables>[0] | undefined,
): Promise<Launched> {
  const { plugin, runFolder, hostDeath, startTimeoutMs } = request
  const entry = { name: plugin.name, ...plugin.program }
  const program: VerifiedProgram = await verifiedCopy(entry, { runFolder, runFrom: 'memory' })
  const protocol = announcement === undefined ? {} : announcementVariables(announcement)
  const rules = { cmd: plugin.program.cmd, envPrefix: 'none', envVars: request.environment }
  const output = outputInto(request)
  try {
    const process = await launch({
      ...{ name: plugin.name, program, hostDeath, startTimeoutMs, output, clock: systemClock },
      environment: pluginEnvironment(rules, globalThis.process.env, protocol),
      sparesGroup: true,
    })
    return { process, printed: () => output.printed, close: () => program.close() }
  } catch (error) {
    await program.close()
    throw error
  }
}

/** Keeps what is said last for the reason of a failed start, and hands everything on as it came. */
function outputInto({ onOutput }: RunRequest): OutputReader & { readonly printed: boolean } {
  let tail = ''
  let printed = false
  return {
    take(bytes, stream) {
      if (stream === 'stdout' && bytes.length > 0) printed = true
      tail = (tail + bytes.toString('utf8')).slice(-2_000)
      onOutput(bytes, stream)
    },
    end() {},
    pauseMs: 0,
    tail: () => tail.trim(),
    get printed() {
      return printed
    },
  }
}

function attend(channel: Channel, { onOutput }: RunRequest): void {
  const read = async (): Promise<void> => {
    for await (const { bytes, from } of channel.output()) onOutput(bytes, `stdio-${from}`)
  }
  read().catch(() => {}) // how it ends makes no difference
}

/** Asks a plugin to leave, as hosts do. Resolves with how long it took; undefined: it is still there. */
export async function askToLeave(run: PluginRun, patienceMs: number): Promise<number | undefined> {
  const began = performance.now()
  // The answer is lost when the plugin is quick.
  run.channel.shutdown({ timeoutMs: patienceMs }).catch(() => {})
  const left = await Promise.race([
    run.process.exited,
    new Promise<undefined>((resolve) => void setTimeout(() => resolve(undefined), patienceMs).unref()),
  ])
  return left === undefined ? undefined : performance.now() - began
}

/** Whether a failure means that the plugin is gone or does not answer any more. */
export function isLost(error: unknown): boolean {
  return (
    error instanceof PluginError && ['exited', 'deadline', 'hung', 'connection-refused'].includes(error.code)
  )
}
