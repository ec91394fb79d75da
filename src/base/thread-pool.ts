/**
 * Half the threads on which Node runs what blocks: files, hashes. Whoever can fill the pool takes no more than this,
 * so that one kind of work never waits for all of another.
 */
export function halfOfPool(size: string | undefined = process.env['UV_THREADPOOL_SIZE']): number {
  const threads = Number(size ?? 4)
  return Math.max(1, Math.floor((Number.isFinite(threads) ? threads : 4) / 2))
}
