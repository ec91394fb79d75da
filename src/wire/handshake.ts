import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { PluginError } from '../base/errors.ts'

/** Where a plugin listens. */
export type PluginAddress =
  | { readonly network: 'unix'; readonly path: string }
  | { readonly network: 'tcp'; readonly host: string; readonly port: number }

/** What a plugin says in its first line. */
export interface Handshake {
  /** Of the slot's messages; every slot of SFTPGo has 1. */
  readonly version: number
  readonly address: PluginAddress
  /** The certificate the plugin will present, as DER. Absent without mutual TLS. */
  readonly certificate?: Buffer
}

/** What a host is ready to take. */
export interface HandshakeExpectation {
  readonly versions: readonly number[]
  /** Whether the plugin was given our certificate and so has to announce its own. */
  readonly mutualTls: boolean
}

/** Reads a plugin's first line. Throws `PluginError` with code `bad-handshake`, `incompatible-version` or `plaintext-refused`. */
export function parseHandshake(line: string, expected: HandshakeExpectation): Handshake {
  // Whitespace around the line is forgiven, inside a field it is not: so do Go hosts.
  const fields = line.trim().split('|')
  if (fields.length < 4) throw unrecognized(line)
  const [core = '', version = '', network = '', address = '', wire = 'netrpc', certificate = ''] = fields
  checkCore(core)
  const number = checkVersion(version, expected.versions)
  const where = parseAddress(network, address, expected.mutualTls)
  if (wire !== 'grpc') throw bad(`The plugin speaks ${quoted(wire)} and only "grpc" is supported`)
  const der = parseCertificate(certificate, expected.mutualTls)
  return { version: number, address: where, ...(der !== undefined && { certificate: der }) }
}

/** Writes the first line of a plugin, newline included. */
export function formatHandshake(
  handshake: Handshake,
  options: { readonly multiplexAsked?: boolean } = {},
): string {
  const { version, address, certificate } = handshake
  const where = address.network === 'unix' ? address.path : `${hostText(address.host)}:${address.port}`
  // Go hosts refuse padding, and panic when a certificate arrives that they did not ask for.
  const field = certificate === undefined ? '' : certificate.toString('base64').replace(/=+$/, '')
  // Older hosts fold a seventh field into the sixth, so it is there only when asked for.
  const fields = [
    1,
    version,
    address.network,
    where,
    'grpc',
    field,
    ...(options.multiplexAsked ? ['false'] : []),
  ]
  return `${fields.join('|')}\n`
}

function checkCore(field: string): void {
  if (goInteger(field) === undefined) throw bad(`The core protocol version ${quoted(field)} is not a number`)
  if (goInteger(field) !== 1)
    throw bad(`The core protocol version is ${quoted(field)} and only 1 is supported`)
}

function checkVersion(field: string, versions: readonly number[]): number {
  const version = goInteger(field)
  if (version === undefined) throw bad(`The protocol version ${quoted(field)} is not a number`)
  if (versions.includes(version)) return version
  throw new PluginError(
    'incompatible-version',
    `The plugin has version ${version} of the protocol and the host has ${versions.join(', ')}`,
  )
}

function parseAddress(network: string, address: string, mutualTls: boolean): PluginAddress {
  if (network === 'unix') return { network, path: unixPath(address) }
  if (network !== 'tcp') throw bad(`The network ${quoted(network)} is neither "unix" nor "tcp"`)
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) throw bad(`The address ${quoted(address)} is not a host and a port`)
  const host = (match[1] ?? match[2] ?? '') || '127.0.0.1'
  if (!mutualTls && !isLoopback(host)) {
    throw bad(`The address ${quoted(address)} is on another machine, which needs mutual TLS`)
  }
  return { network, host, port }
}

function unixPath(address: string): string {
  if (address === '' || address.includes('\0')) throw bad('The socket path is missing')
  // Go reads a leading @ as a name in the abstract namespace, and Node wants it as a zero byte.
  return address.startsWith('@') ? `\0${address.slice(1)}` : address
}

function parseCertificate(field: string, mutualTls: boolean): Buffer | undefined {
  // Hosts look at the field only above 50 characters: older plugins put other things there.
  const announced = field.length > 50
  if (!mutualTls) {
    if (announced) throw bad('The plugin announced a certificate although mutual TLS is off')
    return undefined
  }
  if (!announced) {
    throw new PluginError(
      'plaintext-refused',
      'The plugin announced no certificate although mutual TLS is on',
    )
  }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(field)) throw bad('The certificate is not base64')
  // Unpadded, as Go wants it, or padded, as others write it: Node takes both.
  const der = Buffer.from(field, 'base64')
  try {
    return new X509Certificate(der).raw
  } catch (cause) {
    throw bad('The certificate cannot be read', cause)
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function hostText(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}

/** What Go's integer parse takes: an optional sign and digits, leading zeros included. */
function goInteger(text: string): number | undefined {
  return /^[+-]?\d{1,9}$/.test(text) ? Number(text) : undefined
}

function unrecognized(line: string): PluginError {
  return line.trim() === ''
    ? bad('The first line is empty')
    : bad(`The first line is not a handshake but ${quoted(line.trim())}`)
}

function bad(message: string, cause?: unknown): PluginError {
  return new PluginError('bad-handshake', message, cause === undefined ? undefined : { cause })
}

/** Shortened and escaped: a plugin's text goes into logs and terminals. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
