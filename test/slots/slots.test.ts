import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { describe, expect, it } from 'vitest'
import { PluginError } from '../../src/base/errors.ts'
import type { Authenticator, PasswordAttempt } from '../../src/slots/auth/contract.ts'
import type { ContractCase } from '../../src/slots/contract-case.ts'
import { slots } from '../../src/slots/index.ts'
import type { IpFilter } from '../../src/slots/ipfilter/contract.ts'
import type { KeyKeeper } from '../../src/slots/kms/contract.ts'
import type { FileNotice, Notifier } from '../../src/slots/notifier/contract.ts'
import { openTestPlugin } from '../../src/sdk-testing.ts'

const attempt: PasswordAttempt = {
  username: 'ada',
  password: 'engine',
  address: '192.0.2.7',
  protocol: 'SSH',
  user: { id: 7, username: 'ada', filters: { hooks: {} } },
}

const polite: Authenticator = {
  async checkPassword({ username, password }) {
    if (username === 'ada' && password === 'engine') return { granted: true }
    return { granted: false, reason: 'Wrong name or password' }
  },
  async checkPublicKey({ publicKey }) {
    return publicKey.startsWith('ssh-ed25519 AAAAgood') ? { granted: true } : { granted: false }
  },
  async continueDialogue({ step, answers }) {
    if (step === 1)
      return { next: 'ask', instructions: 'Say it', questions: [{ text: 'Word: ', echo: false }] }
    return answers[0] === 'engine' ? { next: 'grant' } : { next: 'refuse', reason: 'Wrong word' }
  },
}

describe('the cases of each contract', () => {
  runCases('auth', slots.auth.cases, polite, {
    accepted: { username: 'ada', password: 'engine' },
    acceptedKey: { username: 'ada', publicKey: 'ssh-ed25519 AAAAgood' },
  })
  runCases('notifier', slots.notifier.cases, countingNotifier(), {})
  runCases('kms', slots.kms.cases, sealingKeeper(), {})
  runCases('ipfilter', slots.ipfilter.cases, listFilter(), { allowed: '192.0.2.1', refused: '203.0.113.9' })

  function runCases<N extends keyof typeof slots, Samples>(
    name: N,
    cases: readonly ContractCase<never, Samples>[],
    offer: Parameters<(typeof slots)[N]['handlers']>[0],
    samples: Samples,
  ): void {
    it.each(cases.map((one) => [one.promise, one] as const))(
      `an object in slot ${name} %s`,
      async (_promise, one) => {
        await using served = await openTestPlugin(name, offer as never)
        // The cases are those of this slot, and so is what is served.
        await expect(one.run(served.api as never, samples)).resolves.toBe('kept')
      },
    )
  }
})

describe('an auth plugin', () => {
  it('is told who asks, and answers in our words', async () => {
    const asked: unknown[] = []
    await using served = await openTestPlugin('auth', {
      async checkPassword(heard, call) {
        asked.push(heard, call?.metadata?.['trace'])
        const record = { filters: { max_sessions: 3 }, home_dir: '/nowhere' }
        return {
          granted: true,
          user: { username: 'ada', homeDirectory: '/srv/ada', permissions: ['*'], record },
        }
      },
    })
    const verdict = await served.api.checkPassword(attempt, { metadata: { trace: 'abc' } })
    expect(asked).toEqual([attempt, 'abc'])
    expect(verdict).toEqual({
      granted: true,
      user: {
        username: 'ada',
        homeDirectory: '/srv/ada',
        permissions: { '/': ['*'] },
        record: {
          status: 1,
          username: 'ada',
          home_dir: '/srv/ada',
          permissions: { '/': ['*'] },
          filters: { max_sessions: 3 },
        },
      },
    })
  })

  it('accepts the stored user by an empty answer', async () => {
    await using served = await openTestPlugin('auth', { checkPassword: async () => ({ granted: true }) })
    await expect(served.api.checkPassword(attempt)).resolves.toEqual({ granted: true })
  })

  it('refuses with certainty and a reason for the log', async () => {
    await using served = await openTestPlugin('auth', polite)
    const verdict = await served.api.checkPassword({ ...attempt, password: 'x' })
    expect(verdict).toEqual({ granted: false, reason: 'Wrong name or password', certain: true })
  })

  it('refuses without certainty when it says UNKNOWN', async () => {
    const unknown: Authenticator = {
      async checkPassword() {
        return { granted: false, reason: 'no idea', certain: false }
      },
    }
    await using served = await openTestPlugin('auth', unknown)
    const verdict = await served.api.checkPassword(attempt)
    expect(verdict).toEqual({ granted: false, reason: 'Refused or failed: no idea', certain: false })
    await using known = await openTestPlugin('auth', unknown, { unknownStatus: 'failure' })
    await expect(known.api.checkPassword(attempt)).rejects.toMatchObject({ code: 'failed' })
  })

  it('refuses with certainty by UNKNOWN where the admin says that it is a refusal', async () => {
    const unknown: Authenticator = {
      async checkPassword() {
        return { granted: false, reason: 'wrong password', certain: false }
      },
    }
    await using served = await openTestPlugin('auth', unknown, { unknownStatus: 'refusal' })
    const verdict = await served.api.checkPassword(attempt)
    expect(verdict).toEqual({ granted: false, reason: 'wrong password', certain: true })
  })

  it('fails, and does not refuse, when its code throws', async () => {
    await using served = await openTestPlugin('auth', {
      async checkPassword() {
        throw new TypeError('directory is down')
      },
    })
    const failing = served.api.checkPassword(attempt)
    await expect(failing).rejects.toMatchObject({ name: 'PluginError', code: 'failed' })
    await expect(failing).rejects.toThrow('directory is down')
  })

  it('cannot grant another user than the one that was asked about', async () => {
    await using served = await openTestPlugin('auth', {
      checkPassword: async () => ({ granted: true, user: { username: 'root' } }),
    })
    await expect(served.api.checkPassword(attempt)).rejects.toMatchObject({ code: 'failed' })
  })

  it('says unimplemented for a method it lacks', async () => {
    await using served = await openTestPlugin('auth', {})
    await expect(served.api.checkPassword(attempt)).rejects.toMatchObject({ code: 'unimplemented' })
    await expect(served.api.beginDialogue(attempt)).rejects.toMatchObject({ code: 'unimplemented' })
  })

  it('asks questions, lets the server check one, and ends the dialogue', async () => {
    await using served = await openTestPlugin('auth', {
      async continueDialogue({ step }) {
        if (step === 2) return { next: 'grant' }
        const questions = [{ text: 'Code: ', echo: true }]
        return { next: 'ask', instructions: 'Hello', questions, serverChecks: 'totp' }
      },
    })
    const step = { dialogueId: 'd', username: 'ada', address: '', password: '', answers: [], questions: [] }
    await expect(served.api.continueDialogue({ ...step, step: 1 })).resolves.toEqual({
      next: 'ask',
      instructions: 'Hello',
      questions: [{ text: 'Code: ', echo: true }],
      serverChecks: 'totp',
    })
    await expect(served.api.continueDialogue({ ...step, step: 2 })).resolves.toEqual({ next: 'grant' })
  })
})

describe('an answer of an auth plugin', () => {
  const replies: readonly (readonly [string, string | Buffer, string])[] = [
    ['that is not JSON', 'granted', 'malformed-reply'],
    ['that is an array', '[]', 'malformed-reply'],
    ['without a name', '{"home_dir":"/"}', 'malformed-reply'],
    ['about another user', '{"username":"root"}', 'malformed-reply'],
    ['with permissions that are none', '{"username":"ada","permissions":["*"]}', 'malformed-reply'],
    ['that would change a prototype', '{"username":"ada","__proto__":{"status":1}}', 'malformed-reply'],
    ['in bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'malformed-reply'],
    ['nested without end', '['.repeat(500_000), 'malformed-reply'],
    [
      'of two megabytes',
      JSON.stringify({ username: 'ada', additional_info: 'x'.repeat(2 << 20) }),
      'too-large',
    ],
  ]
  it.each(replies)('%s is a failure with a reason', async (_what, user, code) => {
    const caller = { checkUserAndPass: async () => ({ user: Buffer.from(user as string) }) }
    const api = slots.auth.connect(caller as never)
    await expect(api.checkPassword(attempt)).rejects.toMatchObject({ name: 'PluginError', code })
  })

  it.each(['', '\n', '\r\n'])('of %j accepts the stored user', async (user) => {
    const api = slots.auth.connect({ checkUserAndPass: async () => ({ user: Buffer.from(user) }) } as never)
    await expect(api.checkPassword(attempt)).resolves.toEqual({ granted: true })
  })

  it('with absent lists leaves them absent', async () => {
    const user = Buffer.from('{"username":"ada","permissions":null,"home_dir":"","status":0}')
    const api = slots.auth.connect({ checkUserAndPass: async () => ({ user }) } as never)
    const verdict = await api.checkPassword(attempt)
    expect(verdict).toEqual({
      granted: true,
      user: { username: 'ada', record: { username: 'ada', permissions: null, home_dir: '', status: 0 } },
    })
  })

  it.each([
    ['without a question', { questions: [], echos: [] }],
    ['with fewer echo marks than questions', { questions: ['a', 'b'], echos: [true] }],
    ['with a hundred questions', { questions: Array(100).fill('a'), echos: Array(100).fill(true) }],
    ['with a question of a megabyte', { questions: ['x'.repeat(1 << 20)], echos: [true] }],
  ])('in a dialogue %s is a failure', async (_what, reply) => {
    const whole = { instructions: '', authResult: 0, checkPassword: 0, ...reply }
    const api = slots.auth.connect({ sendKeyboardAuthRequest: async () => whole } as never)
    const step = {
      dialogueId: 'd',
      step: 1,
      username: 'a',
      address: '',
      password: '',
      answers: [],
      questions: [],
    }
    await expect(api.continueDialogue(step)).rejects.toMatchObject({ code: 'malformed-reply' })
  })
})

describe('a notifier', () => {
  const notice: FileNotice = {
    timestamp: 1_790_000_000_123_456_789n,
    action: 'rename',
    username: 'ada',
    storagePath: '/srv/ada/a',
    storageTargetPath: '/srv/ada/b',
    sshCommand: '',
    size: 9_007_199_254_740_993n,
    protocol: 'SFTP',
    status: 1,
    address: '192.0.2.7',
    path: '/a',
    targetPath: '/b',
    sessionId: 'SFTP_1_1',
    filesystemProvider: 0,
    bucket: '',
    endpoint: '',
    openFlags: 577,
    role: 'r',
    elapsedMs: 12n,
    metadata: { event_id: 'e-1' },
  }

  it('hears every field as it was told', async () => {
    const heard: unknown[] = []
    await using served = await openTestPlugin('notifier', {
      notifyFile: async (told, call) => void heard.push(told, call?.metadata?.['event_id']),
    })
    await served.api.notifyFile(notice, { metadata: { event_id: 'e-1' } })
    expect(heard).toEqual([notice, 'e-1'])
  })

  it('may refuse, which is an answer', async () => {
    await using served = await openTestPlugin('notifier', {
      notifyFile: async () => ({ reason: 'Not today', certain: true }),
    })
    await expect(served.api.notifyFile(notice)).resolves.toEqual({ reason: 'Not today', certain: true })
  })

  it('that says UNKNOWN is told from one that refuses and one that fails', async () => {
    const unclear: Notifier = { notifyFile: async () => ({ reason: 'hm', certain: false }) }
    await using served = await openTestPlugin('notifier', unclear)
    await expect(served.api.notifyFile(notice)).rejects.toMatchObject({ code: 'refused-or-failed' })
    await using failing = await openTestPlugin('notifier', unclear, { unknownStatus: 'failure' })
    await expect(failing.api.notifyFile(notice)).rejects.toMatchObject({ code: 'failed' })
    await using refusing = await openTestPlugin('notifier', unclear, { unknownStatus: 'refusal' })
    await expect(refusing.api.notifyFile(notice)).resolves.toEqual({ reason: 'hm', certain: true })
  })
})

describe('a kms plugin', () => {
  it('that says UNKNOWN has failed', async () => {
    await using served = await openTestPlugin('kms', {
      seal: async () => {
        throw new PluginError('refused-or-failed', 'no key service')
      },
      open: async () => '',
    })
    const request = { payload: 'p', additionalData: '', url: '', masterKey: '' }
    await expect(served.api.seal(request)).rejects.toMatchObject({ code: 'failed' })
  })
})

describe('an ipfilter plugin', () => {
  it('without lists of its own can be told to read them again', async () => {
    await using served = await openTestPlugin('ipfilter', { check: async () => ({ allowed: true }) })
    await expect(served.api.reload()).resolves.toBeUndefined()
  })

  it('whose reload fails says so', async () => {
    await using served = await openTestPlugin('ipfilter', {
      check: async () => ({ allowed: true }),
      reload: async () => {
        throw new Error('list is gone')
      },
    })
    await expect(served.api.reload()).rejects.toMatchObject({ code: 'failed' })
  })
})

describe('the cases', () => {
  it('catch a plugin that lets everybody in', async () => {
    await using served = await openTestPlugin('auth', { checkPassword: async () => ({ granted: true }) })
    const samples = { accepted: { username: 'ada', password: 'engine' } }
    const broken: string[] = []
    for (const one of slots.auth.cases) {
      await one.run(served.api, samples).catch(() => broken.push(one.promise))
    }
    expect(broken).toContain('refuses a name that nobody has')
    expect(broken).toContain('refuses an empty password')
  })

  it('catch a keeper that ignores the additional data', async () => {
    const careless: KeyKeeper = {
      seal: async ({ payload }) => ({ payload: Buffer.from(payload).toString('base64'), key: '', mode: 0 }),
      open: async ({ payload }) => Buffer.from(payload, 'base64').toString(),
    }
    await using served = await openTestPlugin('kms', careless)
    const broken: string[] = []
    for (const one of slots.kms.cases) await one.run(served.api, {}).catch(() => broken.push(one.promise))
    expect(broken).toEqual([
      'does not show what it sealed',
      'fails with other additional data',
      'fails with a changed secret',
    ])
  })
})

function countingNotifier(): Notifier {
  return { notifyFile: async () => {}, notifyProvider: async () => {}, notifyLog: async () => {} }
}

function sealingKeeper(): KeyKeeper {
  const key = createHash('sha256').update('test').digest()
  return {
    async seal({ payload, additionalData }) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(additionalData))
      const body = Buffer.concat([cipher.update(payload, 'utf8'), cipher.final()])
      return {
        payload: Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64'),
        key: '',
        mode: 0,
      }
    },
    async open({ payload, additionalData }) {
      const bytes = Buffer.from(payload, 'base64')
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
      decipher.setAAD(Buffer.from(additionalData)).setAuthTag(bytes.subarray(12, 28))
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString()
    },
  }
}

function listFilter(): IpFilter {
  return {
    async check({ address }) {
      const plain = address.replace(/^::ffff:/, '')
      const allowed = isIP(plain) !== 0 && plain !== '203.0.113.9'
      return allowed ? { allowed } : { allowed, reason: 'Listed' }
    },
    reload: async () => {},
  }
}
