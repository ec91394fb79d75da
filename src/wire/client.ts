import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { deadline } from '../base/deadline.ts'
import { messageOf, PluginError } from '../base/errors.ts'
import { Empty } from '../gen/google/protobuf/empty.ts'
import { HealthCheckResponse_ServingStatus, HealthDefinition } from '../gen/health.ts'
import { GRPCControllerDefinition } from '../gen/plugin/controller.ts'
import { GRPCStdioDefinition, StdioData_Channel } from '../gen/plugin/stdio.ts'
import { GRPCBrokerDefinition } from '../gen/plugin/broker.ts'
import { decodeReply } from './codec.ts'
import { blockOfCall, exchange, withMetadata, type AnswerRoom, type Question } from './exchange.ts'
import { readStream } from './incoming.ts'
import type { PluginAddress } from './handshake.ts'
import type { Http2Connection } from './http2/connection.ts'
import type { Fields } from './http2/hpack.ts'
import type { CallOptions, Caller, MethodDescription, ServiceDescription } from './service.ts'
import { connectError, openSession, type MutualTls, type OpenSession } from './session.ts'

/** Where the plugin is and what may pass. */
export interface ChannelOptions {
  readonly address: PluginAddress
  /** Absent: plaintext, which the configuration has to allow. */
  readonly tls?: MutualTls
  /** How long connecting and the first answer may take. Default: 10 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** An answer above this fails with `too-large`. Default: 16 MiB. */
  readonly maxReplyBytes?: number
  /** So much all answers under way may hold together. Default: 64 MiB. */
  readonly maxHeldBytes?: number
  /** A question above this fails with `too-large` before it is sent. Default: 64 MiB. */
  readonly maxRequestBytes?: number
}

/** What every call of a caller has in common. */
export interface CallerOptions {
  /** A call that takes longer fails with `deadline`. */
  readonly timeoutMs: number
  /** Runs around each call, for limits, counting and tracing. */
  readonly around?: <T>(call: CallDescription, run: () => Promise<T>) => Promise<T>
}

/** Which call it is. */
export interface CallDescription {
  /** As in `proto.Auth`. */
  readonly service: string
  readonly method: string
  readonly options: CallOptions | undefined
}

/** What a plugin's health service says; `unimplemented` when it has none. */
export type Health = 'serving' | 'not-serving' | 'unimplemented'

/** A piece of what the plugin's code printed. */
export interface PrintedBytes {
  readonly from: 'stdout' | 'stderr'
  readonly bytes: Buffer
}

/**
 * Connects to a plugin and has it answer once, so that whatever is wrong with its address or its certificate is
 * known here and not at the first login. Throws `connection-refused`, `untrusted-certificate`, `bad-handshake` or
 * `deadline`.
 */
export async function openChannel(options: ChannelOptions): Promise<Channel> {
  const signal = deadline(options.timeoutMs ?? 10_000, options.signal)
  const channel = new Channel(await openSession({ ...options, signal }), options)
  try {
    await channel.health({ signal, timeoutMs: options.timeoutMs ?? 10_000 })
    return channel
  } catch (error) {
    await channel.close()
    throw firstAnswerError(error, channel.lastError, options.tls !== undefined)
  }
}

/** Our authenticated connection to one plugin process, for one life of it. */
export class Channel {
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  readonly #connection: Http2Connection
  readonly #socket: Socket
  readonly #options: ChannelOptions
  readonly #room: AnswerRoom
  #lastError: Error | undefined
  #reason: PluginError | undefined
  /** What began the first answer. */
  #announced: Fields | undefined

  constructor({ connection, socket }: OpenSession, options: ChannelOptions) {
    this.#connection = connection
    this.#socket = socket
    this.#options = options
    this.#room = { leftBytes: options.maxHeldBytes ?? 64 << 20 }
    socket.on('error', (error) => (this.#lastError ??= error))
    this.closed = new Promise((resolve) => void socket.once('close', () => resolve()))
  }

  /** Whether calls can be made now. */
  get isOpen(): boolean {
    return this.#connection.isOpen
  }

  /** As in `TLSv1.3`; undefined in plaintext. */
  get tlsVersion(): string | undefined {
    return this.#socket instanceof TLSSocket ? (this.#socket.getProtocol() ?? undefined) : undefined
  }

  /** Why the connection ended, when its socket said so. */
  get lastError(): Error | undefined {
    return this.#lastError ?? this.#connection.fault
  }

  /** What the plugin said of itself beside its first answer, under this name. */
  announced(name: string): string | undefined {
    return this.#announced?.get(name)
  }

  /** The asking end of a service of this plugin. */
  caller<S extends ServiceDescription>(service: S, options: CallerOptions): Caller<S> {
    const calls = Object.entries(service.methods)
      .filter(([, method]) => !method.requestStream && !method.responseStream)
      .map(([name, method]) => [name, this.#call(service, method, options)] as const)
    // Built from the same table that the type is computed from.
    return Object.fromEntries(calls) as unknown as Caller<S>
  }

  /** Asks the health service; the name `plugin` is the one that go-plugin's plugins know. */
  async health({
    service = 'plugin',
    ...options
  }: CallOptions & { readonly service?: string } = {}): Promise<Health> {
    const { check } = this.caller(HealthDefinition, { timeoutMs: options.timeoutMs ?? 5_000 })
    try {
      const { status } = await check({ service }, options)
      return status === HealthCheckResponse_ServingStatus.SERVING ? 'serving' : 'not-serving'
    } catch (error) {
      if (error instanceof PluginError && error.code === 'unimplemented') return 'unimplemented'
      throw error
    }
  }

  /**
   * Asks the plugin to leave. True when it was told; it may be gone before it answered, so what counts is that the
   * process exits. False when it knows no controller. Throws `deadline` when it does not react at all.
   */
  async shutdown(options: CallOptions = {}): Promise<boolean> {
    const { shutdown } = this.caller(GRPCControllerDefinition, { timeoutMs: options.timeoutMs ?? 2_000 })
    try {
      await shutdown({}, options)
      return true
    } catch (error) {
      if (error instanceof PluginError && error.code === 'unimplemented') return false
      if (error instanceof PluginError && (error.code === 'deadline' || error.code === 'cancelled'))
        throw error
      return true
    }
  }

  /**
   * What the plugin's code prints. Read it from the start and without end: a Go plugin that nobody listens to stands
   * still after 68 KB. Ends with the connection, or at once where the plugin has no such service.
   */
  async *output(): AsyncGenerator<PrintedBytes, void, void> {
    const method = GRPCStdioDefinition.methods.streamStdio
    for await (const message of this.#stream(GRPCStdioDefinition, method, Empty.encode({}).finish())) {
      const { channel, data } = decodeReply(method, message)
      if (data.length === 0) continue
      if (channel === StdioData_Channel.STDOUT) yield { from: 'stdout', bytes: data }
      if (channel === StdioData_Channel.STDERR) yield { from: 'stderr', bytes: data }
    }
  }

  /** Opens the broker's stream, as Go hosts do, and ignores what comes: no slot has a second connection. Never throws. */
  async attendBroker(): Promise<void> {
    const messages = this.#stream(GRPCBrokerDefinition, GRPCBrokerDefinition.methods.startStream)
    for (;;) {
      const { done } = await messages.next().catch(() => ({ done: true }))
      if (done === true) return
    }
  }

  /** Ends the connection. Calls under way fail with `reason`, or else with code `exited`. */
  async close(reason?: PluginError): Promise<void> {
    this.#reason ??= reason
    this.#connection.destroy()
    await this.closed
  }

  #call(service: ServiceDescription, method: MethodDescription, options: CallerOptions) {
    const path = `/${service.fullName}/${method.name}`
    const { around, timeoutMs } = options
    const usual = { path, timeoutMs, block: blockOfCall({ path, timeoutMs }) }
    const ask = (request: unknown, call?: CallOptions): Promise<unknown> =>
      this.#ask(usual, method, request, call)
    if (around === undefined) return ask
    return (request: unknown, call?: CallOptions) =>
      around({ service: service.fullName, method: method.name, options: call }, () => ask(request, call))
  }

  async #ask(
    usual: Pick<Question, 'path' | 'timeoutMs' | 'block'>,
    method: MethodDescription,
    request: unknown,
    call: CallOptions | undefined,
  ): Promise<unknown> {
    const message = method.requestType.encode(request).finish()
    const { maxRequestBytes = 64 << 20, maxReplyBytes = defaultReplyBytes } = this.#options
    if (message.length > maxRequestBytes) {
      throw new PluginError('too-large', `A question of ${message.length} bytes is above ${maxRequestBytes}`)
    }
    const { path } = usual
    const timeoutMs = call?.timeoutMs ?? usual.timeoutMs
    const head = timeoutMs === usual.timeoutMs ? usual.block : blockOfCall({ path, timeoutMs })
    const block = withMetadata(head, call?.metadata)
    try {
      const heard = this.#announced === undefined ? this.#hear : undefined
      const question = { path, block, message, limitBytes: maxReplyBytes, room: this.#room, timeoutMs, heard }
      const answer = await exchange(this.#connection, { ...question, signal: call?.signal })
      return decodeReply(method, answer)
    } catch (error) {
      // A connection that we ended ourselves has a better reason than "ended".
      if (error instanceof PluginError && error.code === 'exited' && this.#reason !== undefined)
        throw this.#reason
      throw error
    }
  }

  readonly #hear = (fields: Fields): void => void (this.#announced = fields)

  #stream(service: ServiceDescription, method: MethodDescription, request?: Uint8Array) {
    const block = blockOfCall({ path: `/${service.fullName}/${method.name}` })
    return readStream(this.#connection, block, {
      request,
      limitBytes: this.#options.maxReplyBytes ?? defaultReplyBytes,
    })
  }
}

/** Plugins of Go may answer with more than the four megabytes that gRPC libraries take by default. */
const defaultReplyBytes = 16 << 20

/** The plugin refuses our certificate only after our side of the handshake is done: the first answer tells. */
function firstAnswerError(error: unknown, socketError: Error | undefined, secured: boolean): unknown {
  if (!(error instanceof PluginError) || error.code !== 'exited') return error
  return connectError(socketError ?? new Error(messageOf(error)), secured)
}
