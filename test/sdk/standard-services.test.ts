import { describe, expect, it } from 'vitest'
import { OutputQueue } from '../../src/sdk/output-queue.ts'
import { standardServices } from '../../src/sdk/standard-services.ts'

const services = standardServices({
  output: new OutputQueue(),
  leave: () => {},
  slotServices: ['proto.Auth'],
})

describe('the services beside the slot', () => {
  it('are those that every host of go-plugin may call', () => {
    expect(services.map(({ description }) => description.fullName)).toEqual([
      ...['grpc.health.v1.Health', 'plugin.GRPCController', 'plugin.GRPCStdio', 'plugin.GRPCBroker'],
      ...['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'],
    ])
  })

  it.each([
    ['plugin', 1],
    ['', 1],
    ['other', 3],
  ])('let health of %j be watched: they say %i and stay', async (service, status) => {
    const ending = new AbortController()
    const watch = services[0]?.handlers['watch'] as (request: object, call: object) => AsyncGenerator<object>
    const answers = watch({ service }, { signal: ending.signal })
    expect(await answers.next()).toEqual({ done: false, value: { status } })
    let ended = false
    const next = answers.next().then(({ done }) => (ended = done === true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(ended).toBe(false)
    ending.abort()
    await next
    expect(ended).toBe(true)
  })
})
