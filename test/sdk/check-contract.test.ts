import { describe, expect, it } from 'vitest'
import { checkContract, contractCases, openTestPlugin } from '../../src/sdk-testing.ts'

describe('the contract kit', () => {
  it('says of each promise whether it is kept, broken or skipped, and why', async () => {
    await using plugin = await openTestPlugin('ipfilter', {
      check: async ({ address }) => ({ allowed: !address.startsWith('203.0.113.') }),
    })
    const results = await checkContract('ipfilter', plugin.api, { refused: '203.0.113.9' })
    expect(results.map(({ promise }) => promise)).toEqual(
      contractCases('ipfilter').map(({ promise }) => promise),
    )
    const broken = results.filter(({ outcome }) => outcome === 'broken')
    expect(broken.map(({ promise, why }) => [promise, why])).toEqual([
      ['knows an IPv4 address in IPv6 clothes', '"::ffff:203.0.113.9" was let in'],
      ['answers about any address, and lets in nothing that is none', '"" was let in'],
    ])
    const skipped = results.filter(({ outcome }) => outcome === 'skipped')
    expect(skipped.map(({ why }) => why)).toEqual(['Needs the sample "allowed"'])
  })

  it('calls a promise broken that never ends', async () => {
    await using plugin = await openTestPlugin('kms', {
      seal: (_request, call) =>
        new Promise((_, reject) => call?.signal?.addEventListener('abort', () => reject(new Error('late')))),
      open: async () => '',
    })
    const results = await checkContract('kms', plugin.api, {}, { limitMs: 50 })
    expect(
      results.every(({ outcome, why }) => outcome === 'broken' && why === 'It took longer than 50 ms'),
    ).toBe(true)
  })
})
