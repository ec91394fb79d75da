import { describe, expect, it } from 'vitest'
import { OutputQueue } from '../../src/sdk/output-queue.ts'

describe('printed bytes on their way to the host', () => {
  it('are kept until somebody reads, in order', async () => {
    const queue = new OutputQueue()
    queue.push('stdout', Buffer.from('one'))
    queue.push('stderr', Buffer.from('two'))
    expect(await readAll(queue, 2)).toEqual(['stdout one', 'stderr two'])
  })

  it('wake who waits for them', async () => {
    const queue = new OutputQueue()
    const reading = readAll(queue, 1)
    setTimeout(() => queue.push('stdout', Buffer.from('late')), 5)
    expect(await reading).toEqual(['stdout late'])
  })

  it('are bounded, and what is lost is said', async () => {
    const queue = new OutputQueue(100)
    queue.push('stdout', Buffer.alloc(90, 0x61))
    queue.push('stdout', Buffer.alloc(500, 0x62))
    expect((await readAll(queue, 1))[0]).toHaveLength('stdout '.length + 90)
    queue.push('stdout', Buffer.from('c'))
    expect(await readAll(queue, 2)).toEqual([
      'stderr (500 bytes of output were dropped: nobody read them)\n',
      'stdout c',
    ])
  })

  it('go in pieces that every host takes', async () => {
    const queue = new OutputQueue()
    queue.push('stdout', Buffer.alloc(100_000))
    const pieces = await readAll(queue, 4)
    expect(pieces.map((piece) => piece.length - 'stdout '.length)).toEqual([32_768, 32_768, 32_768, 1_696])
  })

  it('stay for the next reader when one leaves', async () => {
    const queue = new OutputQueue()
    const leaving = new AbortController()
    const left = readAll(queue, 1, leaving.signal)
    leaving.abort()
    expect(await left).toEqual([])
    queue.push('stdout', Buffer.from('x'))
    expect(await readAll(queue, 1)).toEqual(['stdout x'])
  })
})

async function readAll(
  queue: OutputQueue,
  count: number,
  signal = new AbortController().signal,
): Promise<string[]> {
  const found: string[] = []
  for await (const { from, bytes } of queue.read(signal)) {
    found.push(`${from} ${bytes.toString()}`)
    if (found.length === count) return found
  }
  return found
}
