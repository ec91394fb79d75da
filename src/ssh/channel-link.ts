import type { Transport } from './library.ts'
import type { PacketPool } from './packet-pool.ts'

/** What a channel needs to know of its connection. */
export interface ChannelLink {
  readonly transport: Transport
  /** Bytes that the socket has not taken yet. */
  socketBacklog(): number
  /** Memory for replies that are gathered, and for data that wait. */
  readonly pool: Pick<PacketPool, 'take' | 'give'>
  /** Room for so many bytes of packets that are committed next. */
  allocate(bytes: number): Buffer
  /** Asks the peer something that it answers at once; `answered` is called then, or never. */
  ping(answered: () => void): void
  /** Runs `action` once this turn's events are handled: small replies of a turn travel in one packet. */
  atEndOfTurn(action: () => void): void
}

/** What was agreed on when the channel was opened. */
export interface ChannelNumbers {
  readonly ours: number
  readonly theirs: number
  /** Bytes we may send at first. */
  readonly window: number
  /** The largest piece of data the peer takes in one message. */
  readonly packetSize: number
}
