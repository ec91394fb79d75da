import { constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
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
import { exchange, headersOf, openStream, type AnswerRoom } from './exchange.ts'
import { FrameReader, frameOf } from './framing.ts'
import type { PluginAddress } from './handshake.ts'
import { keepReading } from './keep-reading.ts'
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
  readonly #session: ClientHttp2Session
  readonly #socket: Socket
  readonly #options: ChannelOptions
  readonly #streams = new Set<ClientHttp2Stream>()
  readonly #room: AnswerRoom
  #lastError: Error | undefined
  #reason: PluginError | undefined

  constructor({ session, socket }: OpenSession, options: ChannelOptions) {
    this.#session = session
    this.#socket = socket
    this.#options = options
    this.#room = { leftBytes: options.maxHeldBytes ?? 64 << 20 }
    const noteError = (error: Error): void => void (this.#lastError ??= error)
    session.on('error', noteError)
    socket.on('error', noteError)
    if (socket instanceof TLSSocket) keepReading(socket)
    // The socket's word counts: a session that the other side ended while it began never says that it closed.
    this.closed = new Promise((resolve) => {
      session.once('close', resolve)
      socket.once('close', () => {
        session.destroy()
        resolve()
      })
    })
  }

  /** Whether calls can be made now. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed
  }

  /** As in `TLSv1.3`; undefined in plaintext. */
  get tlsVersion(): string | undefined {
    return this.#socket instanceof TLSSocket ? (this.#socket.getProtocol() ?? undefined) : undefined
  }

  /** Why the connection ended, when its socket said so. */
  get lastError(): Error | undefined {
    return this.#lastError
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
    // A stream that is not cancelled would go on swallowing what the plugin prints.
    for (const stream of this.#streams) stream.close(constants.NGHTTP2_CANCEL)
    this.#session.destroy()
    this.#socket.destroy()
    await this.closed
  }

  #call(service: ServiceDescription, method: MethodDescription, options: CallerOptions) {
    const path = `/${service.fullName}/${method.name}`
    const { around } = options
    const ask = (request: unknown, call?: CallOptions): Promise<unknown> =>
      this.#ask(path, method, request, call, options)
    if (around === undefined) return ask
    return (request: unknown, call?: CallOptions) =>
      around({ service: service.fullName, method: method.name, options: call }, () => ask(request, call))
  }

  async #ask(
    path: string,
    method: MethodDescription,
    request: unknown,
    call: CallOptions | undefined,
    { timeoutMs }: CallerOptions,
  ): Promise<unknown> {
    const message = method.requestType.encode(request).finish()
    const { maxRequestBytes = 64 << 20, maxReplyBytes = defaultReplyBytes } = this.#options
    if (message.length > maxRequestBytes) {
      throw new PluginError('too-large', `A question of ${message.length} bytes is above ${maxRequestBytes}`)
    }
    try {
      const question = {
        path,
        message,
        limitBytes: maxReplyBytes,
        room: this.#room,
        timeoutMs: call?.timeoutMs ?? timeoutMs,
      }
      const answer = await exchange(this.#session, {
        ...question,
        signal: call?.signal,
        metadata: call?.metadata,
      })
      return decodeReply(method, answer)
    } catch (error) {
      // A connection that we ended ourselves has a better reason than "ended".
      if (error instanceof PluginError && error.code === 'exited' && this.#reason !== undefined)
        throw this.#reason
      throw error
    }
  }

  async *#stream(service: ServiceDescription, method: MethodDescription, request?: Uint8Array) {
    const path = `/${service.fullName}/${method.name}`
    const stream = openStream(this.#session, headersOf({ path }))
    if (stream instanceof PluginError) return
    this.#streams.add(stream)
    stream.on('error', () => {})
    if (request === undefined) stream.write(Buffer.alloc(0))
    else stream.end(frameOf(request))
    try {
      yield* messagesOf(stream, this.#options.maxReplyBytes ?? defaultReplyBytes)
    } finally {
      this.#streams.delete(stream)
      if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
    }
  }
}

/** Plugins of Go may answer with more than the four megabytes that gRPC libraries take by default. */
const defaultReplyBytes = 16 << 20

/** The messages of a stream, as long as it lives: how it ended makes no difference to who reads it. */
async function* messagesOf(
  stream: ClientHttp2Stream,
  limitBytes: number,
): AsyncGenerator<Buffer, void, void> {
  const reader = new FrameReader(limitBytes)
  const chunks: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]()
  for (;;) {
    const next = await chunks.next().catch(() => ({ done: true, value: undefined }))
    if (next.done === true || next.value === undefined) return
    yield* reader.push(next.value)
  }
}

/** The plugin refuses our certificate only after our side of the handshake is done: the first answer tells. */
function firstAnswerError(error: unknown, socketError: Error | undefined, secured: boolean): unknown {
  if (!(error instanceof PluginError) || error.code !== 'exited') return error
  return connectError(socketError ?? new Error(messageOf(error)), secured)
}
