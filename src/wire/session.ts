import { connect as connectTcp, type Socket } from 'node:net'
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls'
import { messageOf, PluginError } from '../base/errors.ts'
import { certificatePemOf, type Identity } from './certificate.ts'
import type { PluginAddress } from './handshake.ts'
import { Http2Connection } from './http2/connection.ts'

/** How both ends know each other: our identity and the one certificate the plugin may present. */
export interface MutualTls {
  readonly identity: Identity
  readonly pluginCertificate: Uint8Array
}

/** Where to connect, and how. */
export interface SessionOptions {
  readonly address: PluginAddress
  /** Absent: plaintext. */
  readonly tls?: MutualTls
  /** Gives up when it fires. */
  readonly signal: AbortSignal
}

/** An HTTP/2 connection and the socket below it. */
export interface OpenSession {
  readonly connection: Http2Connection
  readonly socket: Socket
}

/**
 * Opens one HTTP/2 connection to a plugin. It is never opened again by itself: a plugin whose connection ended is
 * gone, and the next one has another certificate.
 */
export async function openSession({ address, tls, signal }: SessionOptions): Promise<OpenSession> {
  const socket = await openSocket(address, tls, signal)
  return { connection: new Http2Connection(socket), socket }
}

function openSocket(
  address: PluginAddress,
  tls: MutualTls | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const target =
      address.network === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
    const socket = tls === undefined ? connectTcp(target) : connectTls({ ...target, ...tlsOptions(tls) })
    const settle = (error?: PluginError): void => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', onError).off('close', onClose)
      if (error === undefined) return resolve(socket)
      // What comes after the first error tells nothing new.
      socket.on('error', () => {}).destroy()
      reject(error)
    }
    const onAbort = (): void =>
      settle(new PluginError('deadline', 'The plugin does not answer on its address'))
    const onError = (error: Error): void => settle(connectError(error, tls !== undefined))
    const onClose = (): void => onError(new Error('The plugin ended the connection'))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', onError).on('close', onClose)
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => settle(protocolError(socket, tls)))
    socket.setNoDelay(true)
    if (signal.aborted) onAbort()
  })
}

function tlsOptions({ identity, pluginCertificate }: MutualTls) {
  return {
    secureContext: createSecureContext({
      // The only root there is: the system's own authorities have no say here.
      ca: certificatePemOf(pluginCertificate),
      key: identity.privateKeyPem,
      cert: identity.certificatePem,
      minVersion: 'TLSv1.2',
    }),
    servername: 'localhost',
    ALPNProtocols: ['h2'],
    // `false` here would also undo the exact pin below.
    rejectUnauthorized: true,
    // On top of the name that Go hosts demand.
    checkServerIdentity: (name: string, presented: PeerCertificate) =>
      presented.raw.equals(pluginCertificate)
        ? checkServerIdentity(name, presented)
        : new Error('The plugin presents another certificate than it announced'),
  } as const
}

function protocolError(socket: Socket, tls: MutualTls | undefined): PluginError | undefined {
  if (tls === undefined) return undefined
  // Made by connectTls above.
  const { alpnProtocol } = socket as TLSSocket
  if (alpnProtocol === 'h2') return undefined
  return new PluginError('bad-handshake', 'The plugin does not speak HTTP/2 over TLS')
}

/** Why a connection could not be opened, or ended before the first answer. */
export function connectError(error: Error, secured: boolean): PluginError {
  const code = 'code' in error ? String(error.code) : ''
  const unreachable = ['ENOENT', 'ECONNREFUSED', 'EACCES', 'ENOTSOCK', 'ENAMETOOLONG', 'EHOSTUNREACH']
  if (!secured || unreachable.includes(code)) {
    return new PluginError('connection-refused', `Cannot connect to the plugin: ${messageOf(error)}`, {
      cause: error,
    })
  }
  return new PluginError('untrusted-certificate', `The plugin cannot be trusted: ${reasonOf(error, code)}`, {
    cause: error,
  })
}

function reasonOf(error: Error, code: string): string {
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return 'it answers without TLS'
  }
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT' || code === 'SELF_SIGNED_CERT_IN_CHAIN') {
    return 'it presents another certificate than it announced'
  }
  const alert = /alert ([a-z ]+):/.exec(error.message)?.[1]
  if (alert !== undefined) return `it does not take our certificate ("${alert}")`
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === '')
    return 'it ended the connection during the TLS handshake'
  return messageOf(error)
}
