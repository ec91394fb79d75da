import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { isEmptySecret, redactedSecret, Secret } from '../../src/secrets/secret.ts'

describe('an opened secret', () => {
  const secret = new Secret('hunter2')

  it('shows itself only to who asks for it', () => {
    expect(secret.reveal()).toBe('hunter2')
  })

  it.each([
    ['a template', `${secret}`],
    ['JSON', JSON.stringify({ secret })],
    ['inspection', inspect({ deep: { secret } }, { showHidden: true, depth: 10 })],
    ['its keys', Object.keys(secret).join() + Object.getOwnPropertyNames(secret).join()],
    [
      'an error',
      new Error('failed', { cause: secret }).stack + inspect(new Error('failed', { cause: secret })),
    ],
  ])('shows nothing in %s', (_where, text) => {
    expect(text).not.toContain('hunter2')
  })
})

describe('a stored secret', () => {
  it('is empty without a payload', () => {
    expect(isEmptySecret(undefined)).toBe(true)
    expect(isEmptySecret({})).toBe(true)
    expect(isEmptySecret({ status: 'Plain', payload: '' })).toBe(true)
    expect(isEmptySecret({ status: 'Plain', payload: 'x' })).toBe(false)
  })

  it('is shown as redacted, and as nothing where there is none', () => {
    expect(redactedSecret({ status: 'Secretbox', payload: 'x', key: 'y' })).toEqual({ status: 'Redacted' })
    expect(redactedSecret({})).toEqual({})
  })
})
