import { describe, expect, it } from 'vitest'
import {
  createLink,
  type Frame,
  type FramePort,
  type Link,
  type LinkHearers,
} from '../../src/cluster/link.ts'
import { FileError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import { recordingLog } from '../helpers/recording-log.ts'

type Questions = { readonly double: readonly [number, number]; readonly nobody: readonly [null, null] }
type News = { readonly note: string }

describe('a line between two processes', () => {
  it('brings answers, and news in order', async () => {
    const heard: unknown[] = []
    const { near } = pair({
      answers: { double: async (n) => 2 * Number(n) },
      news: { note: (text) => heard.push(text) },
    })
    near.tell('note', 'first')
    const answer = near.ask('double', 21)
    near.tell('note', 'second')
    expect(await answer).toBe(42)
    expect(heard).toEqual(['first', 'second'])
  })

  it('brings errors of the class that callers look for', async () => {
    const full = (): never => {
      throw new FileError('no-space', 'Cannot write an event down')
    }
    const { near } = pair({ answers: { double: full }, news: {} })
    const error = await near.ask('double', 1).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(FileError)
    expect(error).toMatchObject({ code: 'no-space', message: 'Cannot write an event down' })
  })

  it('says when there is no answer in time, and when nobody knows the question', async () => {
    const { near } = pair({ answers: { double: () => new Promise(() => {}) }, news: {} })
    await expect(near.ask('double', 1, 20)).rejects.toMatchObject({ code: 'deadline' })
    await expect(near.ask('nobody', null)).rejects.toMatchObject({ code: 'unknown-question' })
  })

  it('ends every open question when it closes', async () => {
    const { near } = pair({ answers: { double: () => new Promise(() => {}) }, news: {} })
    const answer = near.ask('double', 1)
    near.close('the worker has ended')
    await expect(answer).rejects.toMatchObject({ code: 'gone' })
    await expect(near.ask('double', 1)).rejects.toMatchObject({ code: 'gone' })
  })

  it('refuses more questions than may be open', async () => {
    const { near } = pair({ answers: { double: () => new Promise(() => {}) }, news: {} }, 2)
    const open = [near.ask('double', 1), near.ask('double', 2)]
    await expect(near.ask('double', 3)).rejects.toMatchObject({ code: 'overloaded' })
    near.close('done')
    await Promise.allSettled(open)
  })

  it('goes on after a message that nobody understands', async () => {
    const log = recordingLog()
    const [here, there] = ports()
    createLink<Questions, News>({ port: there, answers: { double: (n) => 2 * Number(n) }, news: {}, log })
    const near = createLink<Questions, News>({ port: here, answers: {}, news: {}, log: silentLogger })
    const nonsense = ['what', 'is', 'this'] as unknown as Frame
    here.send([nonsense], () => {})
    here.send(['tell'] as unknown as Frame[], () => {})
    near.tell('note', 'nobody takes it')
    expect(await near.ask('double', 2)).toBe(4)
    expect(log.entries.map(({ message }) => message)).toContain('message not understood')
    expect(log.entries.map(({ message }) => message)).toContain('message not taken')
  })
})

function pair(far: LinkHearers, mostOpen?: number): { near: Link<Questions, News> } {
  const [here, there] = ports()
  createLink({ port: there, ...far, log: silentLogger })
  const bound = mostOpen === undefined ? {} : { mostOpen }
  return {
    near: createLink<Questions, News>({ port: here, answers: {}, news: {}, log: silentLogger, ...bound }),
  }
}

/** Two ports that carry copies, as processes do. */
function ports(): readonly [FramePort, FramePort] {
  const listeners: ((frames: unknown) => void)[] = []
  const port = (own: number): FramePort => ({
    send(frames, sent) {
      const copy: unknown = structuredClone(frames)
      setImmediate(() => {
        listeners[1 - own]?.(copy)
        sent()
      })
    },
    receive(listener) {
      listeners[own] = listener
    },
  })
  return [port(0), port(1)]
}
