import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { nativePacketCiphers, type PacketCiphers } from '../../src/native/packet-ciphers.ts'
import { chooseAlgorithms } from '../../src/ssh/algorithms.ts'
import { newHostKey } from '../../src/ssh/new-host-key.ts'
import type { HostKey, SshLibrary } from '../../src/ssh/library.ts'
import { openSshLibrary } from '../../src/ssh/ssh2/open-library.ts'
import { runSelfTest } from '../../src/ssh/library-self-test.ts'
import { answerHybrid, beginHybrid } from '../../src/ssh/post-quantum.ts'

const native = nativePacketCiphers()
const legacy = chooseAlgorithms({ profile: 'legacy' })

describe('the SSH library', () => {
  for (const [name, ciphers] of [
    ['our packet ciphers', native],
    ['its own JavaScript', undefined],
  ] as const) {
    it(`passes its test at start with ${name}, with every cipher and MAC we know`, async () => {
      const { library, hostKey } = await open(ciphers)
      expect(runSelfTest(library, legacy, hostKey)).toEqual({
        ciphers: legacy.ciphers,
        macs: legacy.macs,
        failed: [],
      })
    })
  }

  it.skipIf(native === undefined)('leaves out a cipher that fails and names it (needs koffi)', async () => {
    // As ssh2's own binding does on Node 24.19 and later: encrypting works, decrypting does not.
    class Broken extends native!.ChaChaPolyDecipher {
      override openAt(): void {
        throw new Error('invalid operation')
      }
    }
    const { library, hostKey } = await open({ ...native!, ChaChaPolyDecipher: Broken })
    const result = runSelfTest(library, chooseAlgorithms({}), hostKey)
    expect(result.ciphers).not.toContain('chacha20-poly1305@openssh.com')
    expect(result.ciphers).toContain('aes128-gcm@openssh.com')
    expect(result.failed).toEqual([{ name: 'chacha20-poly1305@openssh.com', reason: 'invalid operation' }])
  })

  it.skipIf(native === undefined)(
    'notices a cipher that is wrong both ways alike (needs koffi)',
    async () => {
      class Nothing extends native!.AESGCMCipher {
        override encrypt(packet: Buffer): void {
          packet.fill(0, packet.length - 16)
        }
      }
      class NothingBack extends native!.AESGCMDecipher {
        override openAt(): void {}
      }
      const { library, hostKey } = await open({
        ...native!,
        AESGCMCipher: Nothing,
        AESGCMDecipher: NothingBack,
      })
      const { failed } = runSelfTest(library, chooseAlgorithms({}), hostKey)
      expect(failed.map(({ name }) => name)).toEqual(['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com'])
    },
  )

  it('does not start when its private parts behave otherwise', async () => {
    const { library, hostKey } = await open(undefined)
    const changed: SshLibrary = {
      ...library,
      createTransport: (options, events) =>
        library.createTransport(options, { ...events, exchanged: () => {} }),
    }
    expect(() => runSelfTest(changed, chooseAlgorithms({}), hostKey)).toThrow(
      'Cannot use this version of ssh2',
    )
  })

  it('is a private copy: nothing of it stays in the cache of modules, and no agent code is loaded (S-15)', async () => {
    const { library, hostKey } = await open(native)
    runSelfTest(library, chooseAlgorithms({}), hostKey)
    const loaded = Object.keys(createRequire(import.meta.url).cache)
    expect(loaded.filter((file) => file.includes('/ssh2/lib/'))).toEqual([])
  })
})

describe('the hybrid exchange', () => {
  it('gives both sides one secret, and another one each time', () => {
    const client = beginHybrid()
    const [one, two] = [answerHybrid(client.init), answerHybrid(client.init)]
    expect(client.finish(one.reply).equals(one.secret)).toBe(true)
    expect(client.finish(two.reply).equals(two.secret)).toBe(true)
    expect(one.secret.equals(two.secret)).toBe(false)
    expect(one.secret).toHaveLength(32)
  })

  it('refuses a first message of a wrong length and a curve key of low order', () => {
    const { init } = beginHybrid()
    expect(() => answerHybrid(init.subarray(1))).toThrow('wrong length')
    expect(() => answerHybrid(Buffer.concat([init, Buffer.alloc(1)]))).toThrow('wrong length')
    const lowOrder = Buffer.from(init)
    lowOrder.fill(0, 1184)
    expect(() => answerHybrid(lowOrder)).toThrow()
  })
})

async function open(
  ciphers: PacketCiphers | undefined,
): Promise<{ readonly library: SshLibrary; readonly hostKey: HostKey }> {
  const library = await openSshLibrary(ciphers)
  return { library, hostKey: library.parseHostKey(newHostKey('ed25519')) }
}
