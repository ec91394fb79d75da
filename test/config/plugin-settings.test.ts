import { describe, expect, it } from 'vitest'
import { checkPluginSettings, openPluginSettings } from '../../src/config/plugin-settings.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: {
    url: { type: 'string', minLength: 8 },
    retries: { type: 'integer', default: 3 },
    tls: { type: 'object', properties: { verify: { type: 'boolean', default: true } }, default: {} },
    token: { type: 'string', minLength: 20, 'x-secret': true },
  },
}

describe("a plugin's settings", () => {
  it('get the defaults of its schema, and it is known which', () => {
    const { settings, defaulted, problems } = checkPluginSettings(schema, { url: 'https://a' })
    expect(problems).toEqual([])
    expect(settings).toEqual({ url: 'https://a', retries: 3, tls: { verify: true } })
    expect(defaulted).toEqual(['retries', 'tls.verify'])
  })

  it('are told every mistake at once, with the nearest name of a typo', () => {
    const { problems } = checkPluginSettings(schema, { retrys: 5, retries: 'x' })
    expect(problems).toEqual([
      { code: 'missing-key', path: ['url'], message: 'is missing' },
      {
        code: 'unknown-key',
        path: ['retrys'],
        message: 'is no setting of this plugin; did you mean "retries"?',
      },
      { code: 'wrong-type', path: ['retries'], message: 'must be integer' },
    ])
  })

  it('may have an only one that is called like a reference', async () => {
    const own = { properties: { file: { type: 'string' } } }
    const { settings, problems } = checkPluginSettings(own, { file: '/etc/users.json' })
    expect([settings, problems]).toEqual([{ file: '/etc/users.json' }, []])
    const open = () => Promise.reject(new Error('Nothing is to be opened'))
    expect(await openPluginSettings(settings, open)).toEqual({ file: '/etc/users.json' })
  })

  it('take secrets as references, never as literals', () => {
    const literal = checkPluginSettings(schema, { url: 'https://a', token: 'a-literal-of-twenty-letters' })
    expect(literal.problems).toEqual([
      { code: 'unsafe', path: ['token'], message: expect.stringContaining('{"env": NAME}') },
    ])
    const reference = checkPluginSettings(schema, { url: 'https://a', token: { env: 'TOKEN' } })
    expect(reference.problems).toEqual([])
    expect(reference.settings).toMatchObject({ token: { env: 'TOKEN' } })
  })

  it('are opened for the plugin alone', async () => {
    const { settings } = checkPluginSettings(schema, {
      url: { file: '/run/url' },
      token: { secret: { status: 'Plain', payload: 'x' } },
    })
    const opened = await openPluginSettings(settings, async (reference) => JSON.stringify(reference))
    expect(opened).toMatchObject({
      url: '{"file":"/run/url"}',
      token: '{"secret":{"status":"Plain","payload":"x"}}',
      retries: 3,
    })
  })

  it('say so when the schema itself is no good', () => {
    expect(checkPluginSettings('nonsense', {}).problems).toHaveLength(1)
    expect(checkPluginSettings({ type: 'no such type' }, {}).problems).toHaveLength(1)
  })
})
