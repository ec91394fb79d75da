import { randomFillSync } from 'node:crypto'

/** Memory for outgoing packets, used again once the socket is done with it. */
export interface PacketPool {
  /** Memory for a whole packet of bulk data. */
  take(): Buffer
  /** Gives back what `take` lent, once nobody reads it any more. */
  give(slab: Buffer): void
  /** Random bytes into `packet`, for its padding. */
  fillPadding(packet: Buffer, at: number, length: number): void
}

/** The largest packet: data of 32 KiB with everything around it. */
export const slabBytes = 33 * 1024

/**
 * Creates a pool that keeps at most `keep` slabs while nobody needs them.
 *
 * New memory for every packet costs page faults, and work of the collector that grows with every byte: for the other
 * direction that is measured, in `read-into.ts`. A call for random bytes in every packet costs more than copying them.
 */
export function createPacketPool(keep: number): PacketPool {
  const idle: Buffer[] = []
  const random = Buffer.allocUnsafeSlow(4096)
  let used = random.length
  return {
    take: () => idle.pop() ?? Buffer.allocUnsafeSlow(slabBytes),
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
