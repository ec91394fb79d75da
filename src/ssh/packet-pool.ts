import { randomFillSync } from 'node:crypto'
import { pinnedBuffer, type PinnedBuffer } from '../native/arena.ts'

/** Memory for outgoing packets, used again once the socket is done with it. */
export interface PacketPool {
  /** Memory for the packets of a turn. */
  take(): PinnedBuffer
  /** Gives back what `take` lent, once nobody reads it any more. */
  give(slab: PinnedBuffer): void
  /** Random bytes into `packet`, for its padding. */
  fillPadding(packet: Buffer, at: number, length: number): void
}

/** The answer to one READ of 255 KiB in its packets: what one system call then takes. */
export const slabBytes = 272 * 1024

/**
 * Creates a pool that keeps at most `keep` slabs while nobody needs them.
 *
 * New memory for every packet costs page faults, and work of the collector that grows with every byte: for the other
 * direction that is measured, in `read-into.ts`. A call for random bytes in every packet costs more than copying them.
 */
export function createPacketPool(keep: number): PacketPool {
  const idle: PinnedBuffer[] = []
  const random = Buffer.allocUnsafeSlow(4096)
  let used = random.length
  return {
    take: () => idle.pop() ?? pinnedBuffer(slabBytes),
    give(slab) {
      if (idle.length < keep) idle.push(slab)
    },
    fillPadding(packet, at, length) {
      if (used + length > random.length) {
        randomFillSync(random)
        used = 0
      }
      // Each byte once: what is used is never used again.
      random.copy(packet, at, used, used + length)
      used += length
    },
  }
}
