import type { PrivateExchange, PrivateProtocol } from './private-parts.ts'

/**
 * Lets go of what an exchange leaves behind: the shared secret, and small buffers that each hold a whole slab of
 * Node's pool. Together they were two thirds of an idle session's memory.
 */
export function slimExchange(protocol: PrivateProtocol, exchange: PrivateExchange): void {
  const { sessionID, negotiated, type } = exchange
  // Of a finished exchange the library reads no more than this.
  protocol._kex = { sessionID, negotiated, type, remoteExtInfoEnabled: false } as PrivateExchange
  protocol._remoteIdentRaw = unpooled(protocol._remoteIdentRaw)
  const decipher = protocol._decipher
  if (decipher === undefined) return
  for (const name of ['_tag', '_mac', '_lenBuf', '_block'] as const) {
    const buffer = decipher[name]
    if (buffer !== undefined) decipher[name] = unpooled(buffer)
  }
}

/** A copy with memory of its own. */
export function unpooled(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
