import { isIP } from 'node:net'

/** What the first bytes of a connection say about a proxy before it (HAProxy's PROXY protocol, versions 1 and 2). */
export type ProxyHeader =
  /** Not enough bytes to tell. */
  | { readonly at: 'incomplete' }
  /** These bytes are no PROXY header. */
  | { readonly at: 'absent' }
  /** The header takes `length` bytes; `address` is the client's, or undefined when the proxy speaks for itself. */
  | { readonly at: 'present'; readonly length: number; readonly address: string | undefined }
  | { readonly at: 'malformed' }

/** Longest header of each version; the second one's extensions are skipped. */
const mostTextLength = 107
const mostBinaryLength = 16 + 2048

const binarySignature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const textSignature = Buffer.from('PROXY ', 'latin1')

/** Reads a PROXY header at the start of `bytes`. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAlike(bytes, binarySignature)) return parseBinary(bytes)
  if (startsAlike(bytes, textSignature)) return parseText(bytes)
  return { at: 'absent' }
}

function startsAlike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length)
  return bytes.subarray(0, length).equals(signature.subarray(0, length))
}

function parseText(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, mostTextLength).indexOf('\r\n')
  if (end < 0) return bytes.length < mostTextLength ? { at: 'incomplete' } : { at: 'malformed' }
  const length = end + 2
  const words = bytes.toString('latin1', 0, end).split(' ')
  const [, family, source] = words
  if (family === 'UNKNOWN') return { at: 'present', length, address: undefined }
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0
  if (words.length !== 6 || source === undefined || version === 0 || isIP(source) !== version)
    return { at: 'malformed' }
  return { at: 'present', length, address: source }
}

function parseBinary(bytes: Buffer): ProxyHeader {
  if (bytes.length < 16) return { at: 'incomplete' }
  const [versionAndCommand, family] = [bytes.readUInt8(12), bytes.readUInt8(13)]
  const length = 16 + bytes.readUInt16BE(14)
  if (versionAndCommand >> 4 !== 2 || length > mostBinaryLength) return { at: 'malformed' }
  if (bytes.length < length) return { at: 'incomplete' }
  const command = versionAndCommand & 15
  if (command === 0) return { at: 'present', length, address: undefined } // LOCAL: a health check of the proxy's own
  if (command !== 1) return { at: 'malformed' }
  const kind = family >> 4
  if (kind === 1) return length < 28 ? { at: 'malformed' } : present(length, ipv4(bytes.subarray(16, 20)))
  if (kind === 2) return length < 52 ? { at: 'malformed' } : present(length, ipv6(bytes.subarray(16, 32)))
  return { at: 'present', length, address: undefined }
}

function present(length: number, address: string): ProxyHeader {
  return { at: 'present', length, address }
}

function ipv4(bytes: Buffer): string {
  return [...bytes].join('.')
}

/** An IPv6 address as Node writes that of a socket: with the longest run of zeros left out. */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  // The address parser of WHATWG URLs shortens as RFC 5952 says.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
