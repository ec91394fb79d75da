import { rmSync } from 'node:fs'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { answerStream, headOfAnswers, type Desk, type ServedMethod } from './answering.ts'
import type { Identity } from './certificate.ts'
import type { PluginAddress } from './handshake.ts'
import { Http2Connection } from './http2/connection.ts'
import { listen, type ListenAddress } from './listen.ts'
import type { Announcements, Handlers, ServiceDescription } from './service.ts'

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
  readonly announces?: Announcements
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
  const methods = methodsOf(options.services)
  const head = headOfAnswers(options.announces)
  const sockets = new Set<Socket>()
  const listeners: ((count: number) => void)[] = []
  const tell = (): void => listeners.forEach((listener) => listener(sockets.size))
  const door = openDoor(options.tls, (socket) => answer(socket, { methods, head }))
  door.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket
      .on('error', () => {})
      .once('close', () => {
        sockets.delete(socket)
        tell()
      })
    tell()
  })
  const address = await listen(door, options.listen)
  return {
    address,
    onConnections: (listener) => void listeners.push(listener),
    stop() {
      door.close()
      for (const socket of sockets) socket.destroy()
      if (address.network === 'unix') rmSync(address.path, { force: true })
    },
  }
}

/** A listening socket that hands over who is known: with `tls` the holder of the one certificate. */
function openDoor(tls: PluginServerOptions['tls'], onKnown: (socket: Socket) => void): Server {
  if (tls === undefined) return createTcpServer({ noDelay: true }, onKnown)
  const { identity, clientCertificatePem } = tls
  const door = createTlsServer({
    ...{ key: identity.privateKeyPem, cert: identity.certificatePem, ca: clientCertificatePem },
    ...{ minVersion: 'TLSv1.2', ALPNProtocols: ['h2'], noDelay: true },
    // Both are needed: without the first nobody is asked, without the second nobody is turned away.
    ...{ requestCert: true, rejectUnauthorized: true },
  })
  // Who is not let in is told so by TLS itself.
  door.on('tlsClientError', () => {})
  door.on('secureConnection', (socket) => {
    socket.on('error', () => {})
    if (socket.authorized && socket.alpnProtocol === 'h2') onKnown(socket)
    else socket.destroy()
  })
  return door
}

function answer(socket: Socket, shared: Pick<Desk, 'methods' | 'head'>): void {
  const connection = new Http2Connection(socket, { onStream: (stream) => answerStream(desk, stream) })
  const desk: Desk = { connection, ...shared, working: 0 }
}

function methodsOf(services: readonly ServedService[]): Desk['methods'] {
  const entries = services.flatMap(({ description, handlers }) =>
    Object.entries(description.methods).map(([name, method]) => {
      // `serve` takes handlers only in the shapes that the description says, and checks them by type.
      const served = { method, answer: handlers[name] } as ServedMethod
      return [`/${description.fullName}/${method.name}`, served] as const
    }),
  )
  return new Map(entries)
}
