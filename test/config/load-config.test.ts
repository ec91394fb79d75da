import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { effectiveSettings } from '../../src/config/effective-settings.ts'
import { type Config, checkConfig, loadConfig } from '../../src/config/load-config.ts'
import { serverSchema } from '../../src/gen/server-schema.ts'
import { formatPlace, formatProblem } from '../../src/config/problems.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const fixtures = join(import.meta.dirname, '../fixtures/config')
const expected = readFileSync(join(fixtures, 'expected.txt'), 'utf8').trimEnd().split('\n')
const broken = readdirSync(fixtures).filter((name) => name.endsWith('.json'))

describe('the schema of the configuration', () => {
  it('is a JSON Schema', () => {
    const ajv = new Ajv({ strict: false })
    expect(ajv.validateSchema(serverSchema), ajv.errorsText()).toBe(true)
  })
})

describe('a broken configuration', () => {
  it('comes in at least twenty kinds', () => {
    expect(broken.length).toBeGreaterThanOrEqual(20)
  })

  it.each(broken)('gives the message a person would want: %s', (name) => {
    const file = join(fixtures, name)
    const { problems } = loadConfig(file, {})
    const said = problems.map((problem) => formatProblem(problem).replaceAll(`${fixtures}/`, './'))
    const wanted = expected.filter((line) => line.startsWith(`${name}:`))
    expect(wanted.length).toBeGreaterThan(0)
    expect(said.map((line) => line.replace(/^\.\//, ''))).toEqual(wanted)
  })

  it('can still be used when only a checksum is missing', () => {
    const { config, problems } = loadConfig(join(fixtures, '22-checksum-missing.json'), {})
    expect(config?.settings.plugins).toHaveLength(1)
    expect(problems).toMatchObject([{ onlyAtStart: true }])
  })

  it("names what a plugin's plugin.json is, which belongs elsewhere", () => {
    const text = readFileSync(join(import.meta.dirname, '../../examples/auth-file/plugin.json'), 'utf8')
    const { config, problems } = checkConfig({ file: 'sftpgo.config.json', text })
    expect(config).toBeUndefined()
    expect(problems).toMatchObject([
      { code: 'conflict', message: expect.stringMatching(/is the plugin\.json of the plugin "auth-file"/) },
    ])
  })

  it('says what to do when the file is missing', () => {
    const [problem] = loadConfig('/nowhere/at/all.json', {}).problems
    expect(problem === undefined ? '' : formatProblem(problem)).toContain('"sftpgo-ts init" writes one')
  })
})

describe('a good configuration', () => {
  it('may be nothing but braces: every setting has a default', () => {
    const { settings } = good('{}')
    expect(settings.sftpd.bindings).toEqual([{ port: 2022, address: '', apply_proxy_config: true }])
    expect(settings.common.upload_mode).toBe(1)
    expect(settings.common.defender.login_delay.password_failed).toBe(1000)
    expect(settings.plugins).toEqual([])
  })

  it("takes SFTPGo's settings of storages that cannot rename or resume, though a disk needs neither", () => {
    const { settings } = good('{ "common": { "rename_mode": 1, "resume_max_size": 67108864 } }')
    expect(settings.common.rename_mode).toBe(1)
  })

  it('may hold comments, trailing commas and a byte order mark', () => {
    const { settings } = good('\uFEFF{ /* one */ "common": { "idle_timeout": 3, }, // two\n }')
    expect(settings.common.idle_timeout).toBe(3)
  })

  it('keeps its state beside itself, named after itself, unless it says otherwise', () => {
    expect(good('{}', '/etc/sftp/one.json').stateFolder).toBe('/etc/sftp/one.state')
    expect(good('{ "state_dir": "keep" }', '/etc/sftp/one.json').stateFolder).toBe('/etc/sftp/keep')
  })

  it('says where its state lies even with mistakes in it, so that commands find the server that runs', () => {
    const state = (text: string, environment = {}): string =>
      checkConfig({ file: '/etc/sftp/one.json', text, environment }).stateFolder
    expect(state('{ "state_dir": "keep", "plugins": [ }')).toBe('/etc/sftp/keep')
    expect(state('{ "plugins": [ }', { SFTPGO_STATE_DIR: '/var/keep' })).toBe('/var/keep')
    expect(state('', { SFTPGO_STATE_DIR: '/var/keep' })).toBe('/var/keep')
    expect(loadConfig('/nowhere/one.json', { SFTPGO_STATE_DIR: 'keep' }).stateFolder).toBe('/nowhere/keep')
  })

  it('has absolute paths: relative ones are relative to the file', () => {
    const { settings } = good(
      `{ "plugins": [{ "type": "ipfilter", "cmd": "plugins/geo", "sha256sum": "${'0'.repeat(64)}" }],
         "sftpd": { "host_keys": ["id_ed25519"] } }`,
      '/etc/sftp/one.json',
    )
    expect(settings.plugins[0]?.cmd).toBe('/etc/sftp/plugins/geo')
    expect(settings.sftpd.host_keys).toEqual(['/etc/sftp/id_ed25519'])
  })

  it("takes SFTPGo's own keys that ask for nothing", () => {
    const { settings } =
      good(`{ "ftpd": { "bindings": [{ "port": 0 }] }, "acme": { "domains": [], "key_type": "4096" },
      "common": { "startup_hook": "", "actions": { "execute_on": [], "hook": "" } }, "smtp": { "host": "", "port": 587 } }`)
    expect(Object.keys(settings)).not.toContain('ftpd')
  })
})

describe("SFTPGo's plugin entry", () => {
  it('with an empty checksum lacks one: the line to paste is told', () => {
    const entry = { type: 'ipfilter', cmd: process.execPath, args: [], sha256sum: '' }
    const { problems } = checkConfig({ file: '/etc/one.json', text: JSON.stringify({ plugins: [entry] }) })
    const said = problems.map(({ code, path, message }) => `${code} ${path.join('.')} ${message}`)
    expect(said).toEqual([expect.stringMatching(/^missing-key plugins\.0\.sha256sum .*"[0-9a-f]{64}"$/)])
  })
})

describe('the environment', () => {
  it("sets a value in SFTPGo's form and says so", () => {
    const config = good('{}', '/etc/one.json', {
      SFTPGO_SFTPD__BINDINGS__0__PORT: '2222',
      SFTPGO_LOG__LEVEL: 'debug',
    })
    expect(config.settings.sftpd.bindings[0]?.port).toBe(2222)
    expect(config.settings.log.level).toBe('debug')
    expect(formatPlace(config.placeOf(['sftpd', 'bindings', 0, 'port']))).toBe(
      '$SFTPGO_SFTPD__BINDINGS__0__PORT',
    )
  })

  it('patches an entry that exists and appends others, whatever their index', () => {
    const zero = '0'.repeat(64)
    const config = good(
      `{ "plugins": [{ "type": "ipfilter", "cmd": "/a", "sha256sum": "${zero}" }] }`,
      '/etc/one.json',
      {
        SFTPGO_PLUGINS__0__CMD: '/b',
        SFTPGO_PLUGINS__37__TYPE: 'ipfilter',
        SFTPGO_PLUGINS__37__CMD: '/c',
        SFTPGO_PLUGINS__37__SHA256SUM: zero,
        SFTPGO_PLUGINS__37__ARGS: 'serve,--fast',
        SFTPGO_PLUGINS__37__ENV_VARS: '',
      },
    )
    expect(config.settings.plugins.map(({ cmd }) => cmd)).toEqual(['/b', '/c'])
    expect(config.settings.plugins[1]?.args).toEqual(['serve', '--fast'])
  })

  it('names the variable in a mistake, with the nearest known key', () => {
    const { problems } = checkConfig({
      file: '/etc/one.json',
      text: '{}',
      environment: { SFTPGO_SFTPD__BINDINGS__0__PROT: '1', SFTPGO_COMMON__IDLE_TIMEOUT: 'soon' },
    })
    expect(problems.map(formatProblem)).toEqual([
      '$SFTPGO_SFTPD__BINDINGS__0__PROT: sftpd.bindings[0].prot: is not a known key; did you mean "port"?',
      '$SFTPGO_COMMON__IDLE_TIMEOUT: common.idle_timeout: must be a whole number of at least 0, not "soon"',
    ])
  })

  it("says of SFTPGo's settings that do not exist here what it says of them in the file", () => {
    const { problems } = checkConfig({
      file: '/etc/one.json',
      text: '{}',
      environment: {
        ...{ SFTPGO_HTTPD__BINDINGS__0__PORT: '8080', SFTPGO_FTPD__BINDINGS__0__PORT: '0' },
        ...{ SFTPGO_HTTPD__WEB_ROOT: '/x', SFTPGO_DATA_PROVIDER__SSLMODE: '' },
        ...{ SFTPGO_COMMON__ACTIONS__HOOK: 'http://x', SFTPGO_COMMAND__TIMEOUT: '30' },
      },
    })
    expect(problems.map(formatProblem)).toEqual([
      "$SFTPGO_HTTPD__BINDINGS__0__PORT: httpd.bindings[0].port: SFTPGo's web interface with its REST API (httpd) is not supported yet; set it to 0 or remove this variable",
      '$SFTPGO_COMMON__ACTIONS__HOOK: common.actions.hook: a hook on file events is not supported yet; a notifier plugin hears the same',
      '$SFTPGO_COMMAND__TIMEOUT: command.timeout: this section configures hooks, which are not supported; remove it',
    ])
  })

  it('leaves variables alone that are not settings', () => {
    good('{}', '/etc/one.json', {
      SFTPGO_PLUGIN_AUTH__LDAP: 'x',
      SFTPGO_TS_NATIVE: '0',
      SFTPGO_BINARY: '/x',
      PATH: '/bin',
    })
  })

  it('comes from env.d too, beneath the real one, and may name a file that holds a secret', () => {
    using folder = temporaryDirectory()
    mkdirSync(folder.file('env.d'))
    writeFileSync(
      folder.file('env.d/one.env'),
      'SFTPGO_COMMON__IDLE_TIMEOUT=7\nSFTPGO_COMMON__UMASK="0077"\nOTHER=1\n',
    )
    writeFileSync(folder.file('key'), 'c2VjcmV0\n')
    writeFileSync(folder.file('one.json'), '{}')
    const { config } = loadConfig(folder.file('one.json'), {
      SFTPGO_COMMON__UMASK: '0022',
      // Relative to the configuration, as in the file itself.
      SFTPGO_KMS__SECRETS__MASTER_KEY_FILE: 'key',
    })
    expect(config?.settings.common).toMatchObject({ idle_timeout: 7, umask: '0022' })
    expect(config?.settings.kms.secrets.master_key).toBe('c2VjcmV0')
    expect(config?.environment['OTHER']).toBe('1')
  })
})

describe('a file with the master key', () => {
  it('is refused when it is empty: secrets would be sealed without one, and nobody would notice', () => {
    using folder = temporaryDirectory()
    writeFileSync(folder.file('blank'), ' \n')
    const text = JSON.stringify({ kms: { secrets: { master_key_path: folder.file('blank') } } })
    const { problems } = checkConfig({ file: folder.file('one.json'), text, environment: {} })
    expect(problems).toMatchObject([{ code: 'file-unreadable' }])
    writeFileSync(folder.file('blank'), 'a master key\n')
    expect(checkConfig({ file: folder.file('one.json'), text, environment: {} }).problems).toEqual([])
  })
})

describe('what is in force', () => {
  it('is listed with where each value came from, secrets hidden', () => {
    const zero = '0'.repeat(64)
    const config = good(
      `{\n  "kms": { "secrets": { "master_key": "geheim" } },\n  "plugins": [{ "type": "ipfilter", "cmd": "/a",
        "args": ["--password", "geheim"], "sha256sum": "${zero}", "settings": { "token": "geheim", "url": "http://x" } }] }`,
      '/etc/one.json',
      { SFTPGO_COMMON__IDLE_TIMEOUT: '7' },
    )
    const list = effectiveSettings(config)
    expect(list).toContainEqual({
      path: 'common.idle_timeout',
      value: 7,
      from: '$SFTPGO_COMMON__IDLE_TIMEOUT',
    })
    expect(list).toContainEqual({
      path: 'kms.secrets.master_key',
      value: '(hidden)',
      from: expect.stringMatching(/one.json:2:\d+$/) as string,
    })
    expect(list).toContainEqual({ path: 'common.upload_mode', value: 1, from: 'default' })
    expect(JSON.stringify(list)).not.toContain('geheim')
  })
})

function good(text: string, file = '/etc/sftp/one.json', environment: Record<string, string> = {}): Config {
  const { config, problems } = checkConfig({ file, text, environment })
  expect(problems.map(formatProblem)).toEqual([])
  if (config === undefined) throw new Error('no configuration')
  return config
}
