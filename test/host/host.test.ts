import { describe, expect, it } from 'vitest'
import { misbehaving, openTestHost } from '../helpers/plugin-host.ts'

describe('a host', () => {
  it('starts a plugin and asks it', async () => {
    await using it = await openTestHost([await misbehaving('polite')])
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'ready', starts: 1 })
    const [filter] = it.host.filled('ipfilter')
    expect(await filter?.api.check({ address: '127.0.0.1', protocol: 'SSH' })).toEqual({ allowed: true })
    expect(await filter?.api.check({ address: '10.0.0.1', protocol: 'SSH' })).toMatchObject({
      allowed: false,
      certain: true,
    })
  })
})
