import { hash as bcryptHash } from '@node-rs/bcrypt'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { accountProblem } from '../../src/accounts/conditions.ts'
import { codeAt, decodeBase32 } from '../../src/accounts/totp.ts'
import { openDatabase, type Database } from '../../src/database/open-database.ts'
import {
  emptyDatabase,
  entry,
  openRig,
  principalOf,
  scripted,
  testKey,
  testUser,
  type LoginRig,
} from './login-rig.ts'

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

type Heard = { readonly verdict: string; readonly reference?: string }
const reasonIn = ({ stories }: LoginRig, { reference = '' }: Heard): string =>
  stories.find(reference)?.steps.at(-1)?.reason ?? ''
const reasonOf = (answer: Heard): string => reasonIn(rig, answer)

describe('passwords', () => {
  it('lets the right password in and no other (rows 7, 8, 25)', async () => {
    await rig.addUser({ username: 'ada' }, 'engine')
    expect(principalOf(await rig.password('ada', 'engine'))).toMatchObject({
      method: 'password',
      user: { username: 'ada' },
    })
    for (const wrong of ['', 'Engine', 'engine ', 'x'.repeat(100_000), 'engine\0'])
      expect(await rig.password('ada', wrong)).toMatchObject({ verdict: 'refused' })
  })

  it('never accepts an empty password, whatever is stored', async () => {
    for (const password of ['', 'plain', '{MD5}d41d8cd98f00b204e9800998ecf8427e']) {
      await rig.addUser({ username: 'empty', password })
      expect(await rig.password('empty', '')).toMatchObject({ verdict: 'refused' })
    }
  })

  it('notes the time of the login (row 10)', async () => {
    await rig.addUser({ username: 'ada' }, 'engine')
    await rig.password('ada', 'engine')
    await expect.poll(() => rig.store.findUser('ada')?.last_login).toBeGreaterThan(Date.now() - 60_000)
  })

  it('renews a hash of another kind at the next login (row 111)', async () => {
    await rig.addUser({ username: 'ada', password: await bcryptHash('engine', { cost: 4 }) })
    principalOf(await rig.password('ada', 'engine'))
    await expect.poll(() => rig.store.findUser('ada')?.password).toMatch(/^\$argon2id\$/)
    principalOf(await rig.password('ada', 'engine'))
    expect(await rig.password('ada', 'wrong')).toMatchObject({ verdict: 'refused' })
  })

  it('asks no questions where the configuration switches dialogues off (row 37)', async () => {
    await using closed = await openRig({ database, settings: { keyboardInteractive: false } })
    await closed.addUser({ username: 'ada' }, 'engine')
    const pages: string[][] = []
    expect(await closed.dialogue('ada', scripted(['engine'], pages))).toMatchObject({
      verdict: 'refused',
      methods: ['publickey', 'password'],
    })
    expect(pages).toEqual([])
    principalOf(await closed.password('ada', 'engine'))
  })

  it('does not accept passwords where the configuration switches them off', async () => {
    await using closed = await openRig({ database, settings: { passwordAuthentication: false } })
    await closed.addUser({ username: 'ada' }, 'engine')
    expect(await closed.password('ada', 'engine')).toMatchObject({
      verdict: 'refused',
      methods: ['publickey', 'keyboard-interactive'],
    })
  })
})

describe('public keys', () => {
  it('lets in with any key of the user, and with no other (rows 8, 9)', async () => {
    const [first, second, stranger] = [testKey(), testKey(), testKey()]
    await rig.addUser({ username: 'ada', public_keys: [first.line, `${second.line} laptop`] })
    for (const key of [first, second])
      expect(principalOf(await rig.key('ada', key))).toMatchObject({ method: 'publickey' })
    expect(await rig.key('ada', stranger)).toMatchObject({ verdict: 'refused' })
    expect(await rig.key('nobody', first)).toMatchObject({ verdict: 'refused' })
  })

  it('says that a key would do without letting anyone in', async () => {
    const [key, stranger] = [testKey(), testKey()]
    await rig.addUser({ username: 'ada', public_keys: [key.line] })
    const conversation = rig.begin()
    expect(await conversation.queryKey('ada', key.offered)).toEqual({ verdict: 'would-do' })
    expect(await conversation.queryKey('ada', stranger.offered)).toMatchObject({ verdict: 'refused' })
    expect(rig.events).toEqual([])
  })

  it('takes the proved key for the identity, not the queried one (S-4)', async () => {
    const [queried, proved] = [testKey(), testKey()]
    await rig.addUser({ username: 'ada', public_keys: [queried.line, proved.line] })
    const conversation = rig.begin()
    await conversation.queryKey('ada', queried.offered)
    const principal = principalOf(await conversation.provedKey('ada', proved.offered, proved.proof))
    const other = principalOf(await rig.key('ada', queried))
    expect(principal.keyFingerprint).not.toBe(other.keyFingerprint)
  })

  it('refuses a key without its proof', async () => {
    const [key, other] = [testKey(), testKey()]
    await rig.addUser({ username: 'ada', public_keys: [key.line] })
    const answer = await rig.begin().provedKey('ada', key.offered, other.proof)
    expect(answer).toMatchObject({ verdict: 'refused' })
    expect(reasonOf(answer)).toContain('signature is wrong')
  })

  it('refuses a key whose stored line has options, and says so', async () => {
    const key = testKey()
    await rig.addUser({ username: 'ada', public_keys: [`from="10.0.0.1" ${key.line}`] })
    const answer = await rig.key('ada', key)
    expect(answer).toMatchObject({ verdict: 'refused' })
    expect(reasonOf(answer)).toContain('options')
  })

  it('refuses RSA requests with SHA-1', async () => {
    const key = testKey()
    const answer = await rig.begin().queryKey('ada', { algorithm: 'ssh-rsa', blob: key.offered.blob })
    expect(answer).toMatchObject({ verdict: 'refused' })
  })

  it.each([Buffer.alloc(0), Buffer.from('/etc/passwd'), Buffer.alloc(64 * 1024, 0x2f)])(
    'refuses hostile key blobs (S-5)',
    async (blob) => {
      await rig.addUser({ username: 'ada', public_keys: [testKey().line] })
      const conversation = rig.begin()
      expect(await conversation.queryKey('ada', { algorithm: 'ssh-ed25519', blob })).toMatchObject({
        verdict: 'refused',
      })
      const proof = { signedData: Buffer.alloc(1), signature: blob }
      expect(await conversation.provedKey('ada', { algorithm: 'ssh-ed25519', blob }, proof)).toMatchObject({
        verdict: 'refused',
      })
    },
  )
})

describe('logins in two steps', () => {
  const onlyKeyAnd = (second: 'password' | 'keyboard-interactive'): { denied_login_methods: string[] } => ({
    denied_login_methods: [
      ...['publickey', 'password', 'keyboard-interactive'],
      second === 'password' ? 'publickey+keyboard-interactive' : 'publickey+password',
    ],
  })

  it('wants the key, then the password (row 19)', async () => {
    const key = testKey()
    await rig.addUser({ username: 'ada', public_keys: [key.line], filters: onlyKeyAnd('password') }, 'engine')
    const conversation = rig.begin()
    expect(await conversation.provedKey('ada', key.offered, key.proof)).toEqual({
      verdict: 'partial',
      methods: ['password'],
    })
    expect(await conversation.password('ada', 'wrong')).toMatchObject({
      verdict: 'refused',
      methods: ['password'],
    })
    expect(principalOf(await conversation.password('ada', 'engine'))).toMatchObject({
      method: 'publickey+password',
    })
  })

  it('wants the key, then the dialogue (row 21)', async () => {
    const key = testKey()
    await rig.addUser(
      { username: 'ada', public_keys: [key.line], filters: onlyKeyAnd('keyboard-interactive') },
      'engine',
    )
    const conversation = rig.begin()
    expect(await conversation.provedKey('ada', key.offered, key.proof)).toEqual({
      verdict: 'partial',
      methods: ['keyboard-interactive'],
    })
    expect(await conversation.password('ada', 'engine')).toMatchObject({ verdict: 'refused' })
    const answer = await conversation.keyboardInteractive('ada', scripted(['engine']))
    expect(principalOf(answer).method).toBe('publickey+keyboard-interactive')
  })

  it('refuses the password when it comes first (row 20)', async () => {
    const key = testKey()
    await rig.addUser({ username: 'ada', public_keys: [key.line], filters: onlyKeyAnd('password') }, 'engine')
    const conversation = rig.begin()
    expect(await conversation.password('ada', 'engine')).toMatchObject({ verdict: 'refused' })
    expect(await conversation.provedKey('ada', key.offered, key.proof)).toMatchObject({ verdict: 'partial' })
    principalOf(await conversation.password('ada', 'engine'))
  })

  it('forgets the first step when another name comes (S-19)', async () => {
    const key = testKey()
    await rig.addUser({ username: 'ada', public_keys: [key.line], filters: onlyKeyAnd('password') }, 'engine')
    await rig.addUser({ username: 'bob', filters: onlyKeyAnd('password') }, 'builder')
    const conversation = rig.begin()
    await conversation.provedKey('ada', key.offered, key.proof)
    expect(await conversation.password('bob', 'builder')).toMatchObject({ verdict: 'refused' })
    expect(await conversation.password('ada', 'engine')).toMatchObject({ verdict: 'refused' })
  })
})

describe('the second factor', () => {
  const secret = 'JBSWY3DPEHPK3PXP'
  const totp = {
    totp_config: {
      enabled: true,
      config_name: 'Default',
      protocols: ['SSH'],
      secret: { status: 'Secretbox', payload: Buffer.from(secret).toString('base64') },
    },
  }
  const code = (steps = 0): string =>
    codeAt(decodeBase32(secret) ?? Buffer.alloc(0), Math.floor(rig.clock.now() / 30_000) + steps, 'sha1')

  it('asks for the password, then for the code (row 35)', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    const pages: string[][] = []
    const answer = await rig.dialogue('ada', scripted(['engine', code()], pages))
    expect(principalOf(answer).method).toBe('keyboard-interactive')
    expect(pages).toEqual([['Password: '], ['Authentication code: ']])
  })

  it('takes each code once, also within its window (row 36, S-53)', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    principalOf(await rig.dialogue('ada', ['engine', code()]))
    const again = await rig.dialogue('ada', ['engine', code()])
    expect(reasonOf(again)).toBe('The code was used before')
    expect(reasonOf(await rig.dialogue('ada', ['engine', code(-1)]))).toBe('The code was used before')
    principalOf(await rig.dialogue('ada', ['engine', code(1)]))
  })

  it('takes the code of the step before and after, and none beyond', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    expect(reasonOf(await rig.dialogue('ada', ['engine', code(-2)]))).toBe('The code is wrong')
    expect(reasonOf(await rig.dialogue('ada', ['engine', code(2)]))).toBe('The code is wrong')
    principalOf(await rig.dialogue('ada', ['engine', code(-1)]))
  })

  it('stops looking after five wrong codes, for a while', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    for (let n = 0; n < 5; n++) await rig.dialogue('ada', ['engine', 'nocode'])
    expect(reasonOf(await rig.dialogue('ada', ['engine', code()]))).toBe('Too many wrong codes')
    rig.clock.move(6 * 60_000)
    principalOf(await rig.dialogue('ada', ['engine', code()]))
  })

  it('takes no used code after a restart, and forgives no wrong one', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    await rig.addUser({ username: 'bob', filters: totp }, 'builder')
    principalOf(await rig.dialogue('ada', ['engine', code()]))
    for (let n = 0; n < 5; n++) await rig.dialogue('bob', ['builder', 'nocode'])
    await using restarted = await openRig({ database })
    expect(reasonIn(restarted, await restarted.dialogue('ada', ['engine', code()]))).toBe(
      'The code was used before',
    )
    principalOf(await restarted.dialogue('ada', ['engine', code(1)]))
    expect(reasonIn(restarted, await restarted.dialogue('bob', ['builder', code()]))).toBe(
      'Too many wrong codes',
    )
  })

  it('lets one of many in who bring the same code at once', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    const same = code()
    const answers = await Promise.all(Array.from({ length: 20 }, () => rig.dialogue('ada', ['engine', same])))
    expect(answers.filter(({ verdict }) => verdict === 'granted')).toHaveLength(1)
  })

  it('does not lock somebody out whose clock was wrong for a while', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    rig.clock.move(24 * 3_600_000)
    principalOf(await rig.dialogue('ada', ['engine', code()]))
    rig.clock.move(-24 * 3_600_000)
    principalOf(await rig.dialogue('ada', ['engine', code()]))
    expect(reasonOf(await rig.dialogue('ada', ['engine', code()]))).toBe('The code was used before')
  })

  it('is not gone round by the method "password"', async () => {
    await rig.addUser({ username: 'ada', filters: totp }, 'engine')
    const answer = await rig.password('ada', 'engine')
    expect(reasonOf(answer)).toContain('second factor')
  })

  it('is asked alone after a proved key', async () => {
    const key = testKey()
    const denied = ['publickey', 'password', 'keyboard-interactive', 'publickey+password']
    await rig.addUser({
      username: 'ada',
      public_keys: [key.line],
      filters: { ...totp, denied_login_methods: denied },
    })
    const conversation = rig.begin()
    await conversation.provedKey('ada', key.offered, key.proof)
    const pages: string[][] = []
    principalOf(await conversation.keyboardInteractive('ada', scripted([code()], pages)))
    expect(pages).toEqual([['Authentication code: ']])
  })

  it('must be set up where the account demands it (row 39)', async () => {
    const key = testKey()
    const demanded = { two_factor_protocols: ['SSH'] }
    await rig.addUser({ username: 'ada', public_keys: [key.line], filters: demanded }, 'engine')
    expect(reasonOf(await rig.password('ada', 'engine'))).toContain('second factor')
    expect(reasonOf(await rig.key('ada', key))).toContain('second factor')
    await rig.addUser({ username: 'ada', filters: { ...demanded, ...totp } }, 'engine')
    principalOf(await rig.dialogue('ada', ['engine', code()]))
  })
})

describe('conditions', () => {
  it.each([
    ['a disabled user (row 23)', { status: 0 as const }, 'disabled'],
    ['an expired user (row 24)', { expiration_date: 1000 }, 'expired'],
    ['an anonymous user (row 26)', { filters: { is_anonymous: true } }, 'Anonymous'],
    ['a user without SSH (row 27)', { filters: { denied_protocols: ['SSH'] } }, 'protocol'],
    ['a user without this method (row 28)', { filters: { denied_login_methods: ['password'] } }, 'method'],
    ['"password-over-SSH" (row 29)', { filters: { denied_login_methods: ['password-over-SSH'] } }, 'method'],
    ['an address that is denied (row 30)', { filters: { denied_ip: ['192.0.2.0/24'] } }, 'address'],
    ['an address that is not allowed (row 30)', { filters: { allowed_ip: ['10.0.0.0/8'] } }, 'address'],
    ['a user in a group that is not there', { groups: [{ name: 'gone', type: 1 as const }] }, 'Group "gone"'],
    ['a user without permissions', { permissions: {} }, 'permissions'],
    [
      'a user who must change the password (row 38)',
      { filters: { require_password_change: true } },
      'change the password',
    ],
    [
      'an expired password',
      { filters: { password_expiration: 30 }, last_password_change: 1 },
      'password has expired',
    ],
  ])('keep out %s', async (_name, fields, reason) => {
    await rig.addUser({ username: 'ada', ...fields }, 'engine')
    const answer = await rig.password('ada', 'engine')
    expect(answer).toMatchObject({
      verdict: 'refused',
      methods: ['publickey', 'password', 'keyboard-interactive'],
    })
    expect(
      rig.stories
        .find(answer.verdict === 'refused' ? answer.reference : '')
        ?.steps.map((step) => step.reason)
        .join(),
    ).toContain(reason)
  })

  it.each([
    [
      'allowed_ip wins over denied_ip (row 30)',
      { allowed_ip: ['192.0.2.7/32'], denied_ip: ['192.0.2.0/24'] },
    ],
    ['another address is denied', { denied_ip: ['198.51.100.0/24'] }],
    [
      'only the method of another protocol is denied',
      { denied_login_methods: ['TLSCertificate', 'keyboard-interactive'] },
    ],
    ['only password-over-SSH of the keys is free', { denied_protocols: ['FTP', 'DAV'] }],
  ])('let in when %s', async (_name, filters) => {
    await rig.addUser({ username: 'ada', filters }, 'engine')
    principalOf(await rig.password('ada', 'engine'))
  })

  it('let a key in where only the password has to be changed (row 38)', async () => {
    const key = testKey()
    const filters = { require_password_change: true }
    await rig.addUser({ username: 'ada', public_keys: [key.line], filters }, 'engine')
    principalOf(await rig.key('ada', key))
    expect(await rig.dialogue('ada', ['engine'])).toMatchObject({ verdict: 'refused' })
  })

  it('hold access times', async () => {
    const now = new Date(rig.clock.now())
    const at = (hours: number): string =>
      `${String((now.getUTCHours() + hours + 24) % 24).padStart(2, '0')}:00`
    const today = { day_of_week: now.getUTCDay(), from: '00:00', to: '23:59' }
    const tomorrow = { ...today, day_of_week: (now.getUTCDay() + 1) % 7 }
    await rig.addUser({ username: 'today', filters: { access_time: [tomorrow, today] } }, 'engine')
    await rig.addUser({ username: 'tomorrow', filters: { access_time: [tomorrow] } }, 'engine')
    await rig.addUser(
      { username: 'later', filters: { access_time: [{ ...today, from: at(2), to: at(2) }] } },
      'engine',
    )
    principalOf(await rig.password('today', 'engine'))
    for (const name of ['tomorrow', 'later']) {
      const answer = await rig.password(name, 'engine')
      expect(reasonOf(answer)).toContain('at this time')
    }
  })

  it('mean access times in the time of the machine where the configuration says so', () => {
    vi.stubEnv('TZ', 'Pacific/Kiritimati') // 14 hours before UTC
    const period = { day_of_week: 2, from: '02:00', to: '02:59' }
    const user = testUser({ username: 'ada', filters: { access_time: [period] } })
    const now = Date.UTC(2026, 0, 5, 12, 30) // a Monday there, Tuesday here
    expect(accountProblem(user, { now, localTime: true })).toBeUndefined()
    expect(accountProblem(user, { now, localTime: false })).toContain('at this time')
    vi.unstubAllEnvs()
  })

  it('count the sessions of the user (row 54)', async () => {
    await rig.addUser({ username: 'ada', max_sessions: 2 }, 'engine')
    rig.sessions.set('ada', 1)
    principalOf(await rig.password('ada', 'engine'))
    rig.sessions.set('ada', 2)
    expect(reasonOf(await rig.password('ada', 'engine'))).toContain('2 sessions')
  })

  it('refuse homes in which a file of the server lies (S-49)', async () => {
    await using guarded = await openRig({
      database,
      settings: { protectedFiles: ['/etc/sftpgo-ts/sftpgo.config.json', '/opt/plugins/ldap'] },
    })
    for (const home of ['/etc/sftpgo-ts', '/etc', '/opt/plugins', '/opt/plugins/ldap']) {
      await guarded.addUser({ username: 'ada', home_dir: home }, 'engine')
      expect(await guarded.password('ada', 'engine'), home).toMatchObject({ verdict: 'refused' })
    }
    const mount = { name: 'conf', virtual_path: '/conf', quota_size: 0, quota_files: 0 }
    await guarded.store.putFolder({ id: 0, name: 'conf', mapped_path: '/etc/sftpgo-ts' })
    await guarded.addUser({ username: 'ada', virtual_folders: [mount] }, 'engine')
    expect(await guarded.password('ada', 'engine')).toMatchObject({ verdict: 'refused' })
    await guarded.addUser({ username: 'ada', home_dir: '/etc/sftpgo-ts/homes/ada' }, 'engine')
    principalOf(await guarded.password('ada', 'engine'))
  })

  it('refuse homes that overlap with the server own directories (S-49)', async () => {
    await using guarded = await openRig({
      database,
      settings: { protectedDirectories: ['/var/lib/sftpgo-ts'] },
    })
    for (const home of ['/var/lib/sftpgo-ts', '/var/lib/sftpgo-ts/x', '/var', '/']) {
      await guarded.addUser({ username: 'ada', home_dir: home }, 'engine')
      expect(await guarded.password('ada', 'engine')).toMatchObject({ verdict: 'refused' })
    }
    await guarded.addUser({ username: 'ada', home_dir: '/var/lib/sftpgo-ts-data' }, 'engine')
    principalOf(await guarded.password('ada', 'engine'))
  })
})

describe('the story of a login', () => {
  it('tells each step with who decided and why, in one record', async () => {
    await rig.addUser({ username: 'ada', filters: { denied_ip: ['192.0.2.7/32'] } }, 'engine')
    const conversation = rig.begin()
    await conversation.none('ada')
    await conversation.password('ada', 'wrong')
    const answer = await conversation.password('ada', 'engine')
    conversation.end()
    expect(answer).toMatchObject({ verdict: 'refused', reference: expect.stringMatching(/^[a-z2-9]{8}$/) })
    const story = rig.stories.find(answer.verdict === 'refused' ? answer.reference : '')
    expect(story).toMatchObject({ username: 'ada', address: '192.0.2.7', outcome: 'refused' })
    expect(story?.steps.map(({ by, result }) => `${by} ${result}`)).toEqual([
      'store refused',
      'verdict refused',
      'store ok',
      'conditions refused',
      'verdict refused',
    ])
    expect(rig.logged.filter(({ message }) => message === 'login refused')).toHaveLength(1)
    expect(JSON.stringify(rig.logged)).not.toContain('engine')
  })

  it('begins with what was said about the address', async () => {
    const check = async (): Promise<{ allowed: true }> => ({ allowed: true })
    await using filtered = await openRig({
      database,
      filters: [{ name: 'geo', filter: { check }, whenDown: 'refuse' }],
    })
    await filtered.addUser({ username: 'ada' }, 'engine')
    const admission = await filtered.authority.admit('192.0.2.7', '1')
    if (!admission.admitted) throw new Error(admission.reason)
    const conversation = filtered.authority.begin({
      ...{ connectionId: '1', address: '192.0.2.7', clientVersion: 'test', admission },
    })
    principalOf(await conversation.password('ada', 'engine'))
    const story = filtered.logged.find(({ message }) => message === 'login granted')?.fields
    expect(story?.['steps']).toMatchObject([
      { method: 'connection', by: 'plugin geo', result: 'ok', elapsedMs: expect.any(Number) },
      { method: 'connection', by: 'address', result: 'ok', elapsedMs: expect.any(Number) },
      { method: 'password', by: 'store', result: 'ok' },
      { method: 'password', by: 'conditions', result: 'ok' },
    ])
  })

  it('logs what a client calls itself only of those who came in', async () => {
    await rig.addUser({ username: 'ada' }, 'engine')
    await rig.password('ada', 'wrong')
    rig.begin().end()
    expect(rig.logged.map(({ message }) => message)).toEqual([
      'login refused',
      'connection left without login',
    ])
    expect(JSON.stringify(rig.logged)).not.toContain('clientVersion')
    principalOf(await rig.password('ada', 'engine'))
    expect(rig.logged.find(({ message }) => message === 'login granted')?.fields).toMatchObject({
      clientVersion: 'test',
    })
  })

  it('tells notifiers: failed, unknown, granted; not what ssh tells', async () => {
    await rig.addUser({ username: 'ada' }, 'engine')
    await rig.password('ada', 'wrong')
    await rig.password('nobody', 'engine')
    rig.begin().end()
    await rig.password('ada', 'engine')
    expect(rig.events.map(({ event, username }) => [event, username])).toEqual([
      [1, 'ada'],
      [2, 'nobody'],
      [5, 'ada'],
    ])
  })

  it('tells failed keys once, at the end, and only when nobody got in', async () => {
    const key = testKey()
    await rig.addUser({ username: 'ada', public_keys: [key.line] })
    const lucky = rig.begin()
    await lucky.provedKey('ada', testKey().offered, testKey().proof)
    await lucky.provedKey('ada', key.offered, key.proof)
    lucky.end()
    expect(rig.events.map(({ event }) => event)).toEqual([5])
    const unlucky = rig.begin()
    for (let n = 0; n < 3; n++) await unlucky.queryKey('ada', testKey().offered)
    unlucky.end()
    expect(rig.events.map(({ event }) => event)).toEqual([5, 1])
  })

  it('forgets the oldest stories', async () => {
    const { createStories } = await import('../../src/accounts/story.ts')
    const stories = createStories({ clock: rig.clock, most: 3 })
    const connection = { connectionId: '1', address: '::1', clientVersion: 'x' }
    const ids = [1, 2, 3, 4].map(() => stories.begin(connection).id)
    expect(ids.map((id) => stories.find(id) !== undefined)).toEqual([false, true, true, true])
    expect(stories.latest(2).map(({ id }) => id)).toEqual([ids[3], ids[2]])
  })
})

describe('an account that is switched off (S-52)', () => {
  const secret = 'JBSWY3DPEHPK3PXP'
  const payload = Buffer.from(secret).toString('base64')
  const totp = { enabled: true, protocols: ['SSH'], secret: { status: 'Secretbox', payload } }
  const code = (): string =>
    codeAt(decodeBase32(secret) ?? Buffer.alloc(0), Math.floor(rig.clock.now() / 30_000), 'sha1')
  const onlyKeyAndCode = ['publickey', 'password', 'keyboard-interactive', 'publickey+password']

  it.each([
    ['disabled', { status: 0 as const }, 'The user is disabled'],
    ['expired', { expiration_date: 1000 }, 'The user has expired'],
  ])('is refused whatever right credential comes: %s', async (_name, off, reason) => {
    const key = testKey()
    const base = { public_keys: [key.line], ...off }
    await rig.addUser({ username: 'ada', ...base }, 'engine')
    await rig.addUser({ username: 'coded', ...base, filters: { totp_config: totp } }, 'engine')
    const filters = { totp_config: totp, denied_login_methods: onlyKeyAndCode }
    await rig.addUser({ username: 'twostep', ...base, filters }, 'engine')
    const fromStore = [
      await rig.password('ada', 'engine'),
      await rig.key('ada', key),
      await rig.begin().queryKey('ada', key.offered),
      await rig.dialogue('ada', ['engine']),
      await rig.dialogue('coded', ['engine', code()]),
      await rig.key('twostep', key),
    ]
    const user = { username: 'ada', homeDirectory: '/srv/ada', permissions: ['*'], record: off }
    rig.plugins.push(
      entry('ldap', {
        checkPassword: async () => ({ granted: true, user }),
        checkPublicKey: async () => ({ granted: true, user }),
        beginDialogue: async () => ({ granted: true, user }),
        continueDialogue: async () => ({ next: 'grant' }),
      }),
    )
    const fromPlugin = [
      await rig.password('ada', 'engine'),
      await rig.key('ada', key),
      await rig.dialogue('ada', ['engine']),
    ]
    for (const answer of [...fromStore, ...fromPlugin]) {
      expect(answer).toMatchObject({ verdict: 'refused' })
      expect(reasonOf(answer)).toBe(reason)
    }
  })
})

describe('names that cannot be accounts (S-37, S-40)', () => {
  it.each([
    '..',
    '.',
    '',
    'a/b',
    'a\\b',
    'a\0b',
    '-rf',
    'a\u202eb',
    'a\u200bb',
    'a\nb',
    ' a',
    'x'.repeat(256),
    '%username%',
  ])('are refused like unknown ones: %j', async (name) => {
    expect(await rig.password(name, 'engine')).toMatchObject({ verdict: 'refused' })
    expect(rig.events.at(-1)).toMatchObject({ event: 2 })
    expect(rig.events.at(-1)?.username.length).toBeLessThanOrEqual(255)
  })
})

describe('naming rules', () => {
  it('make typed names the names that are meant, in every step of a login', async () => {
    await using ruled = await openRig({ database, settings: { namingRules: 7 } })
    const key = testKey()
    const denied = ['publickey', 'password', 'keyboard-interactive', 'publickey+keyboard-interactive']
    await ruled.addUser(
      { username: 'ada', public_keys: [key.line], filters: { denied_login_methods: denied } },
      'engine',
    )
    const conversation = ruled.begin()
    expect(await conversation.provedKey('Ada', key.offered, key.proof)).toMatchObject({ verdict: 'partial' })
    expect(principalOf(await conversation.password(' ADA ', 'engine')).user.username).toBe('ada')
    await ruled.password('Nobody', 'x')
    expect(ruled.events.at(-1)).toMatchObject({ username: 'Nobody' }) // as typed
  })

  it('leave names as they are typed where they say nothing', async () => {
    await rig.addUser({ username: 'ada' }, 'engine')
    expect(await rig.password('Ada', 'engine')).toMatchObject({ verdict: 'refused' })
  })
})

describe('dialogues with odd clients (S-9)', () => {
  it.each([
    ['gives up', async () => undefined],
    ['answers nothing', async () => []],
    ['gives a thousand answers', async () => Array.from({ length: 1000 }, () => 'engine')],
    ['gives an answer of a megabyte', async () => ['x'.repeat(1_000_000)]],
    ['gives a NUL', async () => ['engine\0']],
  ])('refuses when the client %s', async (_name, ask) => {
    await rig.addUser({ username: 'ada' }, 'engine')
    expect(await rig.dialogue('ada', ask)).toMatchObject({ verdict: 'refused' })
    principalOf(await rig.dialogue('ada', ['engine']))
  })

  it('drops what comes after the end', async () => {
    await rig.addUser({ username: 'ada' }, 'engine')
    const conversation = rig.begin()
    conversation.end()
    expect(await conversation.password('ada', 'engine')).toMatchObject({ verdict: 'refused', final: true })
  })

  it('asks unknown names the same question', async () => {
    const pages: string[][] = []
    expect(await rig.dialogue('nobody', scripted(['engine'], pages))).toMatchObject({ verdict: 'refused' })
    expect(pages).toEqual([['Password: ']])
  })
})
