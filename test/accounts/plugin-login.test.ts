import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { placeholder } from '../../src/accounts/plugin-question.ts'
import { codeAt, decodeBase32 } from '../../src/accounts/totp.ts'
import { PluginError } from '../../src/base/errors.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import type { Authenticator, DialogueStep, PasswordAttempt, Verdict } from '../../src/slots/auth/contract.ts'
import { emptyDatabase, entry, openRig, principalOf, scripted, testKey, type LoginRig } from './login-rig.ts'

let database: Database
let rig: LoginRig
beforeAll(async () => {
  database = await openDatabase({ durable: false })
})
afterAll(() => database.close())
beforeEach(async () => {
  await emptyDatabase(database)
  rig = await openRig({ database })
})
afterEach(async () => rig[Symbol.asyncDispose]())

const storyOf = (answer: { readonly verdict: string; readonly reference?: string }): string =>
  JSON.stringify(rig.stories.find(answer.reference ?? '')?.steps)

/** A directory: names with passwords and further fields. */
function directory(
  people: Record<string, { password: string; record?: Record<string, unknown> }>,
): Authenticator & {
  readonly asked: PasswordAttempt[]
} {
  const asked: PasswordAttempt[] = []
  return {
    asked,
    async checkPassword(attempt) {
      asked.push(attempt)
      const person = people[attempt.username]
      if (person?.password !== attempt.password) return { granted: false, reason: 'wrong', certain: true }
      return {
        granted: true,
        user: {
          username: attempt.username,
          homeDirectory: `/srv/${attempt.username}`,
          permissions: ['*'],
          record: person.record ?? {},
        },
      }
    },
  }
}

describe('a plugin that decides about passwords', () => {
  it('makes a user for the session alone (row 40)', async () => {
    rig.plugins.push(entry('ldap', directory({ ada: { password: 'engine' } })))
    const principal = principalOf(await rig.password('ada', 'engine'))
    expect(principal.user).toMatchObject({ username: 'ada', home_dir: '/srv/ada', id: 0 })
    expect(rig.store.findUser('ada')).toBeUndefined()
    expect(await rig.password('ada', 'wrong')).toMatchObject({ verdict: 'refused' })
  })

  it('has users kept where its entry says so; ten first logins at once all succeed', async () => {
    rig.plugins.push(entry('ldap', directory({ ada: { password: 'engine' } }), { persist: true }))
    const answers = await Promise.all(Array.from({ length: 10 }, () => rig.password('ada', 'engine')))
    for (const answer of answers) principalOf(answer)
    expect(rig.store.findUser('ada')).toMatchObject({ home_dir: '/srv/ada' })
    expect(rig.store.listUsers()).toHaveLength(1)
    // Nothing that a later login could use without the directory.
    expect(rig.store.findUser('ada')?.password).toBeUndefined()
  })

  it('replaces the whole user: what is absent is taken away', async () => {
    await rig.store.putGroup({ id: 0, name: 'staff', created_at: 0, updated_at: 0, user_settings: {} })
    await rig.addUser({
      ...{ username: 'ada', max_sessions: 3, description: 'old', groups: [{ name: 'staff', type: 2 }] },
      ...{ public_keys: [testKey().line], expiration_date: 9_999_999_999_999 },
    })
    rig.plugins.push(entry('ldap', directory({ ada: { password: 'engine' } }), { persist: true }))
    const { user } = principalOf(await rig.password('ada', 'engine'))
    for (const one of [user, rig.store.findUser('ada')]) {
      expect(one).toMatchObject({ max_sessions: 0, expiration_date: 0 })
      expect([one?.groups, one?.description, one?.public_keys]).toEqual([undefined, undefined, undefined])
    }
  })

  it('leaves counters and the second factor as stored (row 45)', async () => {
    const totp = { enabled: true, protocols: ['HTTP'], secret: { status: 'Secretbox', payload: 'x' } }
    await rig.addUser({
      username: 'ada',
      used_quota_size: 77,
      filters: { totp_config: totp },
      last_password_change: 5,
    })
    const record = { used_quota_size: 1, last_login: 5, filters: { totp_config: { enabled: false } } }
    rig.plugins.push(entry('ldap', directory({ ada: { password: 'engine', record } }), { persist: true }))
    const { user } = principalOf(await rig.password('ada', 'engine'))
    expect(user).toMatchObject({
      used_quota_size: 77,
      last_password_change: 5,
      filters: { totp_config: totp },
    })
    expect(rig.store.findUser('ada')).toMatchObject({ used_quota_size: 77, filters: { totp_config: totp } })
  })

  it('is shown placeholders, everything, or the name alone', async () => {
    await rig.addUser({ username: 'ada', email: 'ada@example.org' }, 'engine')
    const ldap = directory({})
    for (const userDetail of ['default', 'full', 'minimal'] as const) {
      rig.plugins.splice(0, 1, entry('ldap', ldap, { userDetail }))
      await rig.password('ada', 'x')
      await rig.password('nobody', 'x')
    }
    const shown = ldap.asked.map(({ user }) => user)
    expect(shown[0]).toMatchObject({ username: 'ada', email: 'ada@example.org', password: placeholder })
    expect(shown[1]).toEqual({ id: 0, username: 'nobody' })
    expect(shown[2]?.['password']).toMatch(/^\$argon2id\$/)
    expect(shown[4]).toEqual({ id: expect.any(Number), username: 'ada' })
  })

  it('leaves what is stored where its placeholder comes back', async () => {
    await rig.addUser({ username: 'ada' }, 'stored')
    const hash = rig.store.findUser('ada')?.password
    const echo: Authenticator = {
      checkPassword: async ({ user, username }): Promise<Verdict> => ({
        granted: true,
        user: { username, record: user },
      }),
    }
    rig.plugins.push(entry('ldap', echo, { persist: true }))
    principalOf(await rig.password('ada', 'whatever'))
    expect(rig.store.findUser('ada')?.password).toBe(hash)
    expect(JSON.stringify(rig.logged)).not.toContain(placeholder)
  })

  it('accepts the stored user with an empty answer, and nobody who is not stored (row 41)', async () => {
    await rig.addUser({ username: 'ada', max_sessions: 4 })
    rig.plugins.push(entry('ldap', { checkPassword: async () => ({ granted: true }) }))
    expect(principalOf(await rig.password('ada', 'x')).user.max_sessions).toBe(4)
    expect(await rig.password('nobody', 'x')).toMatchObject({ verdict: 'refused' })
    expect(rig.events.at(-1)).toMatchObject({ event: 2, username: 'nobody' })
  })

  it.each<[string, (username: string) => unknown]>([
    [
      'another user name (row 42, S-67)',
      () => ({ username: 'root', homeDirectory: '/srv/x', permissions: ['*'] }),
    ],
    ['no permissions', (username) => ({ username, homeDirectory: '/srv/x' })],
    ['unknown permissions', (username) => ({ username, homeDirectory: '/srv/x', permissions: ['fly'] })],
    ['a relative home', (username) => ({ username, homeDirectory: 'srv', permissions: ['*'] })],
    ['a home with dots', (username) => ({ username, homeDirectory: '/srv/../etc', permissions: ['*'] })],
    [
      'a group that is not there',
      (username) => ({
        username,
        homeDirectory: '/s',
        permissions: ['*'],
        record: { groups: [{ name: 'gone', type: 1 }] },
      }),
    ],
    [
      'a folder that is not there',
      (username) => ({
        username,
        homeDirectory: '/s',
        permissions: ['*'],
        record: { virtual_folders: [{ name: 'x', virtual_path: '/x', mapped_path: '/etc' }] },
      }),
    ],
    [
      'a disabled user',
      (username) => ({ username, homeDirectory: '/s', permissions: ['*'], record: { status: 0 } }),
    ],
    ['a number where text belongs', (username) => ({ username, homeDirectory: 7, permissions: ['*'] })],
    [
      'a list of a million permissions',
      (username) => ({ username, homeDirectory: '/s', permissions: Array.from({ length: 1e6 }, () => '*') }),
    ],
    [
      'a redacted secret with nothing stored',
      (username) => ({
        username,
        homeDirectory: '/s',
        permissions: ['*'],
        record: { filesystem: { provider: 4, cryptconfig: { passphrase: { status: 'Redacted' } } } },
      }),
    ],
  ])('is refused when it answers with %s', async (_name, answer) => {
    const plugin: Authenticator = {
      // Exactly what a broken plugin may do: an answer that the contract does not allow.
      checkPassword: async ({ username }) => ({ granted: true, user: answer(username) }) as Verdict,
    }
    rig.plugins.push(entry('ldap', plugin, { persist: true }))
    expect(await rig.password('ada', 'x')).toMatchObject({ verdict: 'refused' })
    expect(rig.store.listUsers().filter(({ username }) => username !== 'ada')).toEqual([])
  })

  it('keeps homes inside "users_base_dir" (S-67)', async () => {
    await using based = await openRig({ database, settings: { usersBaseDir: '/home/sftp' } })
    const answer = (homeDirectory?: string): Authenticator => ({
      checkPassword: async ({ username }) => ({
        granted: true,
        user: { username, permissions: ['*'], ...(homeDirectory !== undefined && { homeDirectory }) },
      }),
    })
    for (const [home, verdict] of [
      ['/home/sftp/ada', 'granted'],
      ['/etc', 'refused'],
      ['/home/sftp2', 'refused'],
    ] as const) {
      based.plugins.splice(0, 1, entry('ldap', answer(home)))
      expect(await based.password('ada', 'x')).toMatchObject({ verdict })
    }
    based.plugins.splice(0, 1, entry('ldap', answer()))
    expect(principalOf(await based.password('ada', 'x')).user.home_dir).toBe('/home/sftp/ada')
  })

  it('says which group is missing', async () => {
    const record = { groups: [{ name: 'accounting', type: 2 }] }
    rig.plugins.push(entry('ldap', directory({ ada: { password: 'engine', record } })))
    const answer = await rig.password('ada', 'engine')
    expect(storyOf(answer)).toContain('accounting')
    await rig.store.putGroup({
      id: 0,
      name: 'accounting',
      created_at: 0,
      updated_at: 0,
      user_settings: { quota_files: 9 },
    })
    await rig.store.putGroup({ id: 0, name: 'accounting', created_at: 0, updated_at: 0, user_settings: {} })
    principalOf(await rig.password('ada', 'engine'))
  })

  it('is not asked for users who are exempt, nor for names that cannot be accounts (S-37, S-40)', async () => {
    const ldap = directory({})
    rig.plugins.push(entry('ldap', ldap))
    await rig.addUser({ username: 'local', filters: { hooks: { external_auth_disabled: true } } }, 'engine')
    principalOf(await rig.password('local', 'engine'))
    const names = ['..', '.', 'a/b', 'a\\b', 'a\0b', '', '-rf', 'a\u202eb', 'a\u200bb', '%username%']
    for (const name of names)
      expect(await rig.password(name, 'engine'), name).toMatchObject({ verdict: 'refused' })
    expect(ldap.asked).toEqual([])
  })
})

describe('the cache of answers (rows 43, D-25, S-68)', () => {
  const cached = (people: Record<string, { password: string; record?: Record<string, unknown> }>) => {
    const record = { filters: { external_auth_cache_time: 60 } }
    for (const person of Object.values(people)) person.record = record
    return directory(people)
  }

  it('answers again for the same password without asking, for as long as the user says', async () => {
    const ldap = cached({ ada: { password: 'engine' } })
    rig.plugins.push(entry('ldap', ldap))
    for (let n = 0; n < 3; n++) principalOf(await rig.password('ada', 'engine'))
    expect(ldap.asked).toHaveLength(1)
    rig.clock.move(61_000)
    principalOf(await rig.password('ada', 'engine'))
    expect(ldap.asked).toHaveLength(2)
  })

  it('never lets an old password in after the directory refused it', async () => {
    const people = { ada: { password: 'old' } }
    const ldap = cached(people)
    rig.plugins.push(entry('ldap', ldap))
    principalOf(await rig.password('ada', 'old'))
    people.ada.password = 'new'
    rig.clock.move(61_000)
    expect(await rig.password('ada', 'old')).toMatchObject({ verdict: 'refused' })
    principalOf(await rig.password('ada', 'new'))
    expect(await rig.password('ada', 'old')).toMatchObject({ verdict: 'refused' })
  })

  it('asks about a new password at once, and then knows the old one no more', async () => {
    const people = { ada: { password: 'old' } }
    rig.plugins.push(entry('ldap', cached(people)))
    principalOf(await rig.password('ada', 'old'))
    people.ada.password = 'new'
    principalOf(await rig.password('ada', 'new'))
    expect(await rig.password('ada', 'old')).toMatchObject({ verdict: 'refused' })
  })

  it('refuses the old password by a keyboard dialogue too', async () => {
    const people = { ada: { password: 'old' } }
    rig.plugins.push(entry('ldap', directory(people), { scope: 1, persist: true }))
    principalOf(await rig.dialogue('ada', ['old']))
    people.ada.password = 'new'
    expect(await rig.dialogue('ada', ['old'])).toMatchObject({ verdict: 'refused' })
  })

  it('without a cache time asks every time', async () => {
    const ldap = directory({ ada: { password: 'engine' } })
    rig.plugins.push(entry('ldap', ldap))
    for (let n = 0; n < 3; n++) await rig.password('ada', 'engine')
    expect(ldap.asked).toHaveLength(3)
  })
})

describe('several plugins', () => {
  const yes = (home: string): Authenticator => ({
    checkPassword: async ({ username }) => ({
      granted: true,
      user: { username, homeDirectory: home, permissions: ['*'] },
    }),
  })
  const no: Authenticator = { checkPassword: async () => ({ granted: false, reason: 'no', certain: true }) }
  const down: Authenticator = { checkPassword: () => Promise.reject(new PluginError('exited', 'It is down')) }

  it('ask the first of the method, whose answer is final', async () => {
    rig.plugins.push(
      entry('keys', yes('/keys'), { scope: 2 }),
      entry('first', yes('/first')),
      entry('second', yes('/second')),
    )
    expect(principalOf(await rig.password('ada', 'x')).user.home_dir).toBe('/first')
    rig.plugins.splice(0, 3, entry('first', no), entry('second', yes('/second')))
    expect(await rig.password('ada', 'x')).toMatchObject({ verdict: 'refused' })
  })

  it('go on to the next where an entry says so', async () => {
    rig.plugins.push(entry('first', no, { whenRefused: 'next' }), entry('second', yes('/second')))
    expect(principalOf(await rig.password('ada', 'x')).user.home_dir).toBe('/second')
    rig.plugins.splice(0, 2, entry('first', down, { whenDown: 'next' }), entry('second', yes('/second')))
    expect(principalOf(await rig.password('ada', 'x')).user.home_dir).toBe('/second')
  })

  it('refuse when the one that decides is down, and count nothing against the client', async () => {
    await using guarded = await openRig({ database, defender: true })
    await guarded.addUser({ username: 'ada' }, 'engine')
    guarded.plugins.push(entry('ldap', down))
    for (let n = 0; n < 30; n++) await guarded.password('ada', 'engine')
    expect(guarded.defender.hosts()).toEqual([])
    guarded.plugins.splice(0, 1, entry('ldap', down, { whenDown: 'next' }))
    principalOf(await guarded.password('ada', 'engine'))
  })

  it('ban nobody by an answer that may have been a failure (S-70)', async () => {
    await using guarded = await openRig({ database, defender: true })
    const unsure: Authenticator = {
      checkPassword: async () => ({ granted: false, reason: 'UNKNOWN', certain: false }),
    }
    guarded.plugins.push(entry('ldap', unsure))
    for (let n = 0; n < 30; n++) await guarded.password('ada', 'x')
    expect(guarded.defender.hosts()).toEqual([])
    guarded.plugins.splice(0, 1, entry('ldap', no))
    for (let n = 0; n < 30; n++) await guarded.password('ada', 'x', '192.0.2.9')
    expect(guarded.defender.hosts()).toMatchObject([
      { address: '192.0.2.9', bannedUntil: expect.any(Number) },
    ])
  })

  it('leave the login after its time', async () => {
    await using impatient = await openRig({ database, settings: { pluginTimeoutMs: 50 } })
    impatient.plugins.push(entry('hung', { checkPassword: () => new Promise<never>(() => {}) }))
    expect(await impatient.password('ada', 'x')).toMatchObject({ verdict: 'refused' })
  })
})

describe('a plugin that decides about keys', () => {
  it('is asked once about a key, at its query, with the line of the key', async () => {
    const key = testKey()
    const asked: string[] = []
    const plugin: Authenticator = {
      async checkPublicKey({ publicKey, username }) {
        asked.push(publicKey)
        return publicKey.trim() === key.line
          ? { granted: true, user: { username, homeDirectory: '/srv/k', permissions: ['*'] } }
          : { granted: false }
      },
    }
    rig.plugins.push(entry('keys', plugin, { scope: 2 }))
    const conversation = rig.begin()
    expect(await conversation.queryKey('ada', testKey().offered)).toMatchObject({ verdict: 'refused' })
    expect(await conversation.queryKey('ada', key.offered)).toEqual({ verdict: 'would-do' })
    principalOf(await conversation.provedKey('ada', key.offered, key.proof))
    expect(asked).toHaveLength(2)
    expect(asked[1]).toBe(`${key.line}\n`)
  })

  it('has no say about another key than the one it was asked about (S-4)', async () => {
    const [first, second] = [testKey(), testKey()]
    const plugin: Authenticator = {
      checkPublicKey: async ({ publicKey, username }) => ({
        granted: true,
        user: {
          username,
          homeDirectory: publicKey.trim() === first.line ? '/first' : '/second',
          permissions: ['*'],
        },
      }),
    }
    rig.plugins.push(entry('keys', plugin, { scope: 2 }))
    const conversation = rig.begin()
    await conversation.queryKey('ada', first.offered)
    const principal = principalOf(await conversation.provedKey('ada', second.offered, second.proof))
    expect(principal.user.home_dir).toBe('/second')
  })

  it('is not asked before the client has proved that it holds the key, at the proof', async () => {
    let asked = 0
    const plugin: Authenticator = { checkPublicKey: async () => ((asked += 1), { granted: true }) }
    rig.plugins.push(entry('keys', plugin))
    const key = testKey()
    await rig.begin().provedKey('ada', key.offered, testKey().proof)
    expect(asked).toBe(0)
  })
})

describe('a dialogue through a plugin (rows 33, 34, S-9, S-10)', () => {
  const secret = 'JBSWY3DPEHPK3PXP'
  const totp = {
    totp_config: {
      ...{ enabled: true, protocols: ['SSH'] },
      secret: { status: 'Secretbox', payload: Buffer.from(secret).toString('base64') },
    },
  }

  /** Two questions, then another, then yes if all were right. */
  function quiz(change: Partial<Authenticator> = {}): Authenticator & { readonly steps: DialogueStep[] } {
    const steps: DialogueStep[] = []
    return {
      steps,
      beginDialogue: async ({ username }) => ({
        granted: true,
        user: { username, homeDirectory: '/srv/quiz', permissions: ['*'] },
      }),
      async continueDialogue(step) {
        steps.push(step)
        if (step.step === 1)
          return {
            next: 'ask',
            instructions: 'Say both',
            questions: [
              { text: 'One? ', echo: true },
              { text: 'Two? ', echo: false },
            ],
          }
        if (step.step === 2)
          return { next: 'ask', instructions: '', questions: [{ text: 'Three? ', echo: false }] }
        return step.answers[0] === '3' ? { next: 'grant' } : { next: 'refuse', reason: 'wrong' }
      },
      ...change,
    }
  }

  it('asks what the plugin wants, step by step, with everything that SFTPGo sends', async () => {
    const plugin = quiz()
    rig.plugins.push(entry('quiz', plugin, { scope: 4 }))
    const pages: string[][] = []
    const answer = await rig.dialogue('ada', scripted(['1', '2', '3'], pages))
    expect(principalOf(answer)).toMatchObject({
      method: 'keyboard-interactive',
      user: { home_dir: '/srv/quiz' },
    })
    expect(pages).toEqual([['One? ', 'Two? '], ['Three? ']])
    expect(plugin.steps.map(({ step, answers, questions }) => ({ step, answers, questions }))).toEqual([
      { step: 1, answers: [], questions: [] },
      { step: 2, answers: ['1', '2'], questions: ['One? ', 'Two? '] },
      { step: 3, answers: ['3'], questions: ['Three? '] },
    ])
    expect(new Set(plugin.steps.map(({ dialogueId }) => dialogueId)).size).toBe(1)
    // SFTPGo forgets the address after the first step.
    expect(plugin.steps.map(({ address }) => address)).toEqual(Array(3).fill('192.0.2.7'))
  })

  it('refuses wrong answers (row 34)', async () => {
    rig.plugins.push(entry('quiz', quiz(), { scope: 4 }))
    expect(await rig.dialogue('ada', ['1', '2', '4'])).toMatchObject({ verdict: 'refused' })
  })

  it('stays with the plugin that began it, which need not be one for passwords (S-10)', async () => {
    const plugin = quiz()
    rig.plugins.push(entry('passwords', directory({}), { scope: 1 }), entry('quiz', plugin, { scope: 4 }))
    principalOf(await rig.dialogue('ada', ['1', '2', '3']))
    expect(plugin.steps).toHaveLength(3)
  })

  it('has a password or code checked by the server where the plugin asks for that', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    const steps: DialogueStep[] = []
    const plugin: Authenticator = {
      beginDialogue: async () => ({ granted: true }),
      async continueDialogue(step) {
        steps.push(step)
        if (step.step <= 2)
          return {
            next: 'ask',
            instructions: '',
            questions: [{ text: 'Secret: ', echo: false }],
            serverChecks: step.step === 1 ? 'password' : 'totp',
          }
        return { next: 'grant' }
      },
    }
    rig.plugins.push(entry('dialogue', plugin, { scope: 4 }))
    const code = (steps: number): string =>
      codeAt(decodeBase32(secret) ?? Buffer.alloc(0), Math.floor(rig.clock.now() / 30_000) + steps, 'sha1')
    // The server asks for its own second factor after the plugin's dialogue, as SFTPGo does.
    principalOf(await rig.dialogue('ada', ['engine', code(0), code(1)]))
    expect(steps.map(({ answers }) => answers)).toEqual([[], ['OK'], ['OK']])
    expect(steps[0]?.password).toBe(placeholder)
    expect(await rig.dialogue('ada', ['wrong'])).toMatchObject({ verdict: 'refused' })
    expect(steps).toHaveLength(4)
  })

  it.each<[string, Partial<Authenticator>, string]>([
    [
      'asks for ever',
      {
        continueDialogue: async () => ({
          next: 'ask',
          instructions: '',
          questions: [{ text: '?', echo: true }],
        }),
      },
      'more than 10 rounds',
    ],
    [
      'asks nothing',
      { continueDialogue: async () => ({ next: 'ask', instructions: '', questions: [] }) },
      'asked nothing',
    ],
    [
      'asks a thousand things',
      {
        continueDialogue: async () => ({
          next: 'ask',
          instructions: '',
          questions: Array.from({ length: 1000 }, () => ({ text: '?', echo: true })),
        }),
      },
      'more than 20',
    ],
    ['breaks', { continueDialogue: () => Promise.reject(new Error('broken')) }, 'broken'],
  ])('ends when the plugin %s', async (_name, change, reason) => {
    rig.plugins.push(entry('quiz', quiz(change), { scope: 4 }))
    const answer = await rig.dialogue('ada', async ({ questions }) => questions.map(() => 'x'))
    expect(answer).toMatchObject({ verdict: 'refused' })
    expect(storyOf(answer)).toContain(reason)
  })

  it.each([
    ['too few answers', 1],
    ['too many answers', 3],
    ['a thousand answers', 1000],
  ])('never tells the plugin %s', async (_name, count) => {
    const plugin = quiz()
    rig.plugins.push(entry('quiz', plugin, { scope: 4 }))
    expect(await rig.dialogue('ada', async () => Array.from({ length: count }, () => 'x'))).toMatchObject({
      verdict: 'refused',
    })
    expect(plugin.steps).toHaveLength(1)
  })

  it('asks names that the plugin does not know what it asks the others', async () => {
    const plugin = quiz({
      beginDialogue: async ({ username }) =>
        username === 'ada'
          ? { granted: true, user: { username, homeDirectory: '/srv/quiz', permissions: ['*'] } }
          : { granted: false },
    })
    rig.plugins.push(entry('quiz', plugin, { scope: 4 }))
    await rig.dialogue('ada', ['1', '2', '3'])
    const pages: string[][] = []
    expect(await rig.dialogue('nobody', scripted(['1', '2'], pages))).toMatchObject({ verdict: 'refused' })
    expect(pages).toEqual([['One? ', 'Two? ']])
  })

  it('asks names that the store does not have, where the plugin leaves the user to the store', async () => {
    const plugin = quiz({ beginDialogue: async () => ({ granted: true }) })
    rig.plugins.push(entry('quiz', plugin, { scope: 4 }))
    await rig.addUser({ username: 'ada' })
    await rig.dialogue('ada', ['1', '2', '3'])
    const pages: string[][] = []
    expect(await rig.dialogue('nobody', scripted(['1', '2'], pages))).toMatchObject({ verdict: 'refused' })
    expect(pages).toEqual([['One? ', 'Two? ']])
  })

  it('takes control characters out of what a plugin shows', async () => {
    const pages: string[][] = []
    const plugin = quiz({
      continueDialogue: async () => ({
        next: 'ask',
        instructions: '',
        questions: [{ text: '\u001b[2JCode\u0007: ', echo: false }],
      }),
    })
    rig.plugins.push(entry('quiz', plugin, { scope: 4 }))
    await rig.dialogue('ada', scripted(['x'], pages))
    expect(pages[0]).toEqual(['[2JCode: '])
  })
})
