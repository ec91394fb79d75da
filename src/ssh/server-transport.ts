import type { ConnectionContext } from './connection-context.ts'
import type { Transport, TransportEvents } from './library.ts'
import { message } from './messages.ts'
import type { SocketOutput } from './socket-output.ts'
import { buildMessage } from './wire.ts'

/** Opens our side of the transport protocol, with packets laid out where the socket's output lies. */
export function openServerTransport(
  { library, offer, hostKeys, settings, pool }: ConnectionContext,
  output: SocketOutput,
  events: TransportEvents,
): Transport {
  return library.createTransport(
    {
      side: 'server',
      software: settings.software,
      offer,
      hostKeys,
      signatureAlgorithms: settings.login.publicKeyAlgorithms,
      rekeyBytes: settings.rekeyBytes,
      firstExchangesOnly: true,
      memory: {
        allocate: (length) => output.allocate(length),
        fillPadding: (packet, at, length) => pool.fillPadding(packet, at, length),
      },
    },
    events,
  )
}

/** Answers a message that belongs to no login and no channel (RFC 4253 section 11). */
export function answerToAnybody(payload: Buffer, transport: Transport): void {
  const type = payload[0] ?? 0
  if (type === message.ignore || type === message.debug || type === message.unimplemented) return
  if (type === message.ping) return transport.send(pong(payload))
  transport.send(buildMessage(message.unimplemented, transport.lastSequence))
}

/** OpenSSH's ping (PROTOCOL section 1.9): the same string back. */
function pong(payload: Buffer): Buffer {
  const answer = Buffer.from(payload)
  answer[0] = message.pong
  return answer
}
