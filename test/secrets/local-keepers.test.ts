import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createBuiltinKeeper, createSecretboxKeeper } from '../../src/secrets/local-keepers.ts'
import { Secret, type StoredSecret } from '../../src/secrets/secret.ts'

/** Made by the Go program beside it: another language and other libraries. */
const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/secrets/vectors.json'), 'utf8'),
) as {
  readonly plain: string
  readonly masterKey: string
  readonly stored: StoredSecret
}[]

describe('local keepers', () => {
  it.each(vectors)(
    'open what Go sealed: $stored.status, mode $stored.mode',
    ({ plain, masterKey, stored }) => {
      const keeper = [createSecretboxKeeper(masterKey), createBuiltinKeeper()].find(
        ({ status }) => status === stored.status,
      )
      expect(keeper?.open(stored).reveal()).toBe(plain)
    },
  )

  it('open a secret without master key also when there is one now', () => {
    const stored = createSecretboxKeeper().seal(new Secret('old'), 'ada')
    expect(createSecretboxKeeper('a master key').open(stored).reveal()).toBe('old')
  })

  it('do not open a secret with another master key, or with none', () => {
    const stored = createSecretboxKeeper('one').seal(new Secret('x'), 'ada')
    expect(() => createSecretboxKeeper('two').open(stored)).toThrow(
      expect.objectContaining({ code: 'wrong-key' }),
    )
    expect(() => createSecretboxKeeper().open(stored)).toThrow(expect.objectContaining({ code: 'wrong-key' }))
  })

  it.each([createSecretboxKeeper(), createSecretboxKeeper('m'), createBuiltinKeeper()])(
    'bind a secret to its owner and notice every changed byte ($status)',
    (keeper) => {
      const stored = keeper.seal(new Secret('a passphrase'), 'ada')
      expect(keeper.open(stored).reveal()).toBe('a passphrase')
      expect(() => keeper.open({ ...stored, additional_data: 'bob' })).toThrow(
        expect.objectContaining({ code: 'wrong-key' }),
      )
      const encoding = keeper.status === 'Secretbox' ? 'base64' : 'hex'
      const bytes = Buffer.from(stored.payload ?? '', encoding)
      for (let i = 0; i < bytes.length; i += 1) {
        const changed = Buffer.from(bytes)
        changed[i] = (changed[i] ?? 0) ^ 1
        expect(() => keeper.open({ ...stored, payload: changed.toString(encoding) }), `byte ${i}`).toThrow(
          expect.objectContaining({ code: 'wrong-key' }),
        )
      }
    },
  )

  it.each([createSecretboxKeeper(), createBuiltinKeeper()])(
    'refuse what cannot be a secret ($status)',
    (keeper) => {
      for (const stored of [
        {},
        { payload: 'AAAA' },
        { payload: 'AAAA', key: 'zz' },
        { payload: '', key: 'a'.repeat(64) },
      ]) {
        expect(() => keeper.open({ status: keeper.status, ...stored })).toThrow(
          expect.objectContaining({ code: 'malformed' }),
        )
      }
    },
  )

  it('never seal the same way twice', () => {
    const keeper = createSecretboxKeeper()
    expect(keeper.seal(new Secret('x'), '').payload).not.toBe(keeper.seal(new Secret('x'), '').payload)
  })
})
