import { describe, expect, it } from 'vitest'
import { chooseAlgorithms } from '../../src/ssh/algorithms.ts'

describe('the offer of algorithms', () => {
  it('puts the post-quantum exchange first in every profile, and nothing else into strict', () => {
    for (const profile of ['modern', 'strict', 'legacy'] as const)
      expect(chooseAlgorithms({ profile }).kex[0]).toBe('mlkem768x25519-sha256')
    expect(chooseAlgorithms({ profile: 'strict' }).kex).toEqual(['mlkem768x25519-sha256'])
  })

  it('has nothing with SHA-1, CBC, a NIST exchange, a plain MAC or ECDSA host keys outside of legacy', () => {
    for (const profile of ['modern', 'strict'] as const) {
      const { kex, ciphers, macs, hostKeyAlgorithms } = chooseAlgorithms({ profile })
      const all = [...kex, ...ciphers, ...macs, ...hostKeyAlgorithms]
      expect(all.filter((name) => /sha1|cbc|nistp|diffie|ssh-rsa|ssh-dss/.test(name))).toEqual([])
      expect(macs.every((name) => name.endsWith('-etm@openssh.com'))).toBe(true)
    }
    expect(chooseAlgorithms({ profile: 'legacy' }).hostKeyAlgorithms).toContain('ssh-rsa')
  })

  it('offers group exchange to nobody', () => {
    expect(chooseAlgorithms({ profile: 'legacy' }).kex.join()).not.toContain('group-exchange')
    expect(() => chooseAlgorithms({ kexAlgorithms: ['diffie-hellman-group-exchange-sha256'] })).toThrow(
      'group exchange is not offered',
    )
  })

  it("takes an administrator's lists in their order, without the spaces and repetitions", () => {
    const choice = chooseAlgorithms({
      ciphers: [' aes256-ctr', 'aes128-gcm@openssh.com', 'aes256-ctr '],
      macs: [],
    })
    expect(choice.ciphers).toEqual(['aes256-ctr', 'aes128-gcm@openssh.com'])
    expect(choice.macs).toEqual(chooseAlgorithms({}).macs)
  })

  it('refuses unknown names and says which are known', () => {
    expect(() => chooseAlgorithms({ ciphers: ['aes128-gcm'] })).toThrow(
      /Cannot use "aes128-gcm" in sftpd\.ciphers: .*aes128-gcm@openssh\.com/,
    )
    expect(() => chooseAlgorithms({ macs: ['hmac-md5'] })).toThrow('sftpd.macs')
    expect(() => chooseAlgorithms({ publicKeyAlgorithms: ['ssh-dss'] })).toThrow(
      'sftpd.public_key_algorithms',
    )
    expect(() => chooseAlgorithms({ hostKeyAlgorithms: ['ssh-dss'] })).toThrow('sftpd.host_key_algorithms')
  })
})
