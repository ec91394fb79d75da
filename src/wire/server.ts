import { rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
  type sendUnaryData,
} from '@grpc/grpc-js'
import type { Identity } from './certificate.ts'
import { strictReader } from './codec.ts'
import type { PluginAddress } from './handshake.ts'
import { keepReading } from './keep-reading.ts'
import { listen, type ListenAddress } from './listen.ts'
import type { Handlers, MethodDescription, ServiceDescription } from './service.ts'
import { statusOf } from './status.ts'

/** What a handler may know about the call it answers. */
export interface ServerCall {
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** What travelled beside the request; binary values are left out. */
  readonly metadata: Readonly<Record<string, string>>
  /** How long the caller waits, or undefined when it did not say. */
  readonly remainingMs: number | undefined
}

/** A service and who answers it. Made by `serve`. */
export interface ServedService {
  readonly description: ServiceDescription
  readonly handlers: Readonly<Record<string, unknown>>
}

/** What a plugin's server is made of. */
export interface PluginServerOptions {
  readonly listen: ListenAddress
  /** Who may connect: the holder of this certificate alone. Absent: whoever reaches the address. */
  readonly tls?: { readonly identity: Identity; readonly clientCertificatePem: string }
  readonly services: readonly ServedService[]
}

/** A plugin's server, accepting connections. */
export interface PluginServer {
  readonly address: PluginAddress
  /** Calls `listener` each time a connection came or went, with how many there are now. */
  onConnections(listener: (count: number) => void): void
  /** Ends every call and connection now, and removes the socket. */
  stop(): void
}

/** Joins a service with the functions that answer it. */
export function serve<S extends ServiceDescription>(description: S, handlers: Handlers<S>): ServedService {
  return { description, handlers }
}

/** Listens and answers. Messages of any size are taken, as go-plugin's hosts may send them. */
export async function openPluginServer(options: PluginServerOptions): Promise<PluginServer> {
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 })
  for (const service of options.services) addService(server, service)
  // The sockets are ours, not the library's: their mode is set before anybody can connect, and they can be counted.
  const injector = server.createConnectionInjector(credentialsOf(options.tls))
  const sockets = new Set<Socket>()
  const listeners: ((count: number) => void)[] = []
  const tell = (): void => listeners.forEach((listener) => listener(sockets.size))
  const door = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket
      .on('error', () => {})
      .once('close', () => {
        sockets.delete(socket)
        tell()
      })
    tell()
    if (options.tls !== undefined) keepReading(socket)
    injector.injectConnection(socket)
  })
  const address = await listen(door, options.listen)
  return {
    address,
    onConnections: (listener) => void listeners.push(listener),
    stop() {
      door.close()
      server.forceShutdown()
      for (const socket of sockets) socket.destroy()
      if (address.network === 'unix') rmSync(address.path, { force: true })
    },
  }
}

function credentialsOf(tls: PluginServerOptions['tls']): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure()
  const { identity, clientCertificatePem } = tls
  const pair = {
    private_key: Buffer.from(identity.privateKeyPem),
    cert_chain: Buffer.from(identity.certificatePem),
  }
  // `true`: without it a host is just as happy and nobody is checked.
  return ServerCredentials.createSsl(Buffer.from(clientCertificatePem), [pair], true)
}

function addService(server: Server, { description, handlers }: ServedService): void {
  const entries = Object.entries(description.methods).map(([name, method]) => {
    const path = `/${description.fullName}/${method.name}`
    return [name, { path, ...shapeOf(method), ...codecsOf(method) }] as const
  })
  const answers = Object.entries(description.methods).map(
    ([name, method]) => [name, handlerFor(method, handlers[name])] as const,
  )
  server.addService(Object.fromEntries(entries), Object.fromEntries(answers))
}

function shapeOf({ requestStream, responseStream }: MethodDescription) {
  return { requestStream, responseStream }
}

function codecsOf({ requestType, responseType }: MethodDescription) {
  return {
    requestSerialize: (value: unknown) => Buffer.from(requestType.encode(value).finish()),
    requestDeserialize: (bytes: Buffer) => requestType.decode(strictReader(bytes)) as unknown,
    responseSerialize: (value: unknown) => Buffer.from(responseType.encode(value).finish()),
    responseDeserialize: (bytes: Buffer) => responseType.decode(strictReader(bytes)) as unknown,
  }
}

type AnyHandler = (input: unknown, call: ServerCall) => unknown

function handlerFor(method: MethodDescription, handler: unknown): UntypedHandleCall {
  // `serve` takes handlers only in the shapes that the description says, and checks them by type.
  const answer = handler as AnyHandler
  if (method.requestStream) {
    return (call: ServerDuplexStream<unknown, unknown>) =>
      void pump(call, () => answer(call, contextOf(call)))
  }
  if (method.responseStream) {
    return (call: ServerWritableStream<unknown, unknown>) =>
      void pump(call, () => answer(call.request, contextOf(call)))
  }
  return (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) =>
    void answerOnce(call, callback, answer)
}

async function answerOnce(
  call: ServerUnaryCall<unknown, unknown>,
  callback: sendUnaryData<unknown>,
  answer: AnyHandler,
): Promise<void> {
  try {
    callback(null, await answer(call.request, contextOf(call)))
  } catch (error) {
    callback(serviceErrorOf(error))
  }
}

/** Sends what `messages` yields as fast as the other side reads, until either ends. */
async function pump(
  call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  messages: () => unknown,
): Promise<void> {
  call.on('error', () => {})
  try {
    // Streaming handlers return an iterable: see `Handlers`.
    for await (const message of messages() as AsyncIterable<unknown>) {
      if (call.cancelled) return
      if (!call.write(message)) await drained(call)
    }
    call.end()
  } catch (error) {
    call.destroy(serviceErrorOf(error))
  }
}

function drained(call: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done).off('cancelled', done).off('close', done)
      resolve()
    }
    call.on('drain', done).on('cancelled', done).on('close', done)
  })
}

/** What calls of every shape have. */
type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'cancelled' | 'metadata' | 'getDeadline'> &
  NodeJS.EventEmitter

function contextOf(call: AnyCall): ServerCall {
  let controller: AbortController | undefined
  return {
    // Made when it is asked for: most handlers are done before anybody could lose patience.
    get signal() {
      if (controller === undefined) {
        const made = new AbortController()
        if (call.cancelled) made.abort()
        else call.once('cancelled', () => made.abort())
        controller = made
      }
      return controller.signal
    },
    get metadata() {
      const pairs = Object.entries(call.metadata.getMap())
      return Object.fromEntries(pairs.filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
    },
    get remainingMs() {
      const until = Number(call.getDeadline())
      return Number.isFinite(until) ? Math.max(0, until - Date.now()) : undefined
    },
  }
}

function serviceErrorOf(error: unknown) {
  const { code, text } = statusOf(error)
  return Object.assign(new Error(text), { code, details: text, metadata: new Metadata() })
}
