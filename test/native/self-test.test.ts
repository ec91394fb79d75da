import { describe, expect, it } from 'vitest'
import { findNative } from '../../src/native/library.ts'
import { selfTest } from '../../src/native/self-test.ts'

const here = findNative({})

describe('what native code does here', () => {
  it.skipIf(!here.works || process.platform !== 'linux')('is everything on a Linux of today', () => {
    expect(selfTest(here)).toEqual([
      { ability: 'calls into C', works: true, detail: '' },
      { ability: 'homes confined by the kernel', works: true, detail: '' },
      { ability: 'packet ciphers', works: true, detail: '' },
      { ability: 'sealed memory files', works: true, detail: '' },
    ])
  })

  it('is nothing when it is switched off, and each line says why and what takes its place', () => {
    const abilities = selfTest(findNative({ SFTPGO_TS_NATIVE: '0' }))
    expect(abilities.map(({ works }) => works)).toEqual([false, false, false, false])
    for (const { detail } of abilities) expect(detail).toMatch(/^Not here \(SFTPGO_TS_NATIVE is 0\): \w+/)
  })
})
