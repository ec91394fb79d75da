/** Lends buffers of one size, so that bulk data does not allocate. */
export interface BufferPool {
  readonly bufferBytes: number
  take(): Buffer
  /** Gives back what `take` lent, once nobody reads it any more. */
  give(buffer: Buffer): void
}

/** Creates a pool that keeps at most `keep` buffers of `bufferBytes` while nobody needs them. */
export function createBufferPool(options: {
  readonly bufferBytes: number
  readonly keep: number
}): BufferPool {
  const idle: Buffer[] = []
  return {
    bufferBytes: options.bufferBytes,
    // Not from Node's slab: these live long and are written before they are read.
    take: () => idle.pop() ?? Buffer.allocUnsafeSlow(options.bufferBytes),
    give(buffer) {
      if (idle.length < options.keep) idle.push(buffer)
    },
  }
}
