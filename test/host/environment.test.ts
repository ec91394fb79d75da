import { describe, expect, it } from 'vitest'
import { derivedPrefix, pluginEnvironment, withheldNames } from '../../src/host/environment.ts'

const own = {
  SFTPGO_PLUGIN_AUTH_PASSWORD: 'p',
  SFTPGO_DATABASE__PASSWORD: 'db',
  AWS_SECRET_ACCESS_KEY: 'aws',
  PATH: '/bin',
  PLUGIN_CLIENT_CERT: 'from our own host',
  PLUGIN_UNIX_SOCKET_DIR: '/tmp/ours',
  LD_PRELOAD: '/tmp/evil.so',
  NODE_OPTIONS: '--require /tmp/evil.js',
  MYAPP_ONE: '1',
  MYAPP_TWO: '2',
}
const protocol = { SFTPGO_PLUGIN_AUTH: 'cookie', PLUGIN_PROTOCOL_VERSIONS: '1' }

function seen(envPrefix: string, envVars: readonly string[] = [], cmd = '/opt/sftpgo-plugin-auth') {
  return pluginEnvironment({ cmd, envPrefix, envVars }, own, protocol)
}

describe('what a plugin sees of our environment', () => {
  it('is what begins with its own name, by default', () => {
    expect(seen('')).toEqual({ SFTPGO_PLUGIN_AUTH_PASSWORD: 'p', ...protocol })
  })

  it('is nothing but the named ones with "none"', () => {
    expect(seen('none')).toEqual(protocol)
    expect(seen('none', ['PATH'])).toEqual({ PATH: '/bin', ...protocol })
  })

  it('leaves out a named one that is not set', () => {
    expect(seen('none', ['HOME'])).toEqual(protocol)
  })

  it('is what begins with a prefix of choice, exactly as written', () => {
    expect(seen('MYAPP_')).toEqual({ MYAPP_ONE: '1', MYAPP_TWO: '2', ...protocol })
    expect(seen('MYAPP_O')).toEqual({ MYAPP_ONE: '1', ...protocol })
  })

  it('is everything with "*", except what makes loaders load other code', () => {
    const all = seen('*')
    expect(all).toMatchObject({ AWS_SECRET_ACCESS_KEY: 'aws', SFTPGO_DATABASE__PASSWORD: 'db' })
    expect(all).not.toHaveProperty('LD_PRELOAD')
    expect(all).not.toHaveProperty('NODE_OPTIONS')
  })

  it('never has a variable that brings other code, not even when it is named, and that is told', () => {
    const named = ['LD_PRELOAD', 'NODE_OPTIONS', 'PYTHONPATH', 'PATH']
    expect(seen('none', named)).toEqual({ PATH: '/bin', ...protocol })
    expect(withheldNames({ envVars: named }, own)).toEqual(['LD_PRELOAD', 'NODE_OPTIONS'])
  })

  it('has one that brings other code, a debugger for example, where nothing is verified anyway', () => {
    const rules = { cmd: '/opt/x', envPrefix: 'none', envVars: ['NODE_OPTIONS'], unverified: true }
    expect(pluginEnvironment(rules, own, protocol)).toHaveProperty('NODE_OPTIONS')
    expect(pluginEnvironment({ ...rules, envVars: [] }, own, protocol)).toEqual(protocol)
    expect(withheldNames(rules, own)).toEqual([])
  })

  it('has one that weakens it only when it is named', () => {
    const rules = { cmd: '/opt/x', envPrefix: '*', envVars: [] }
    const mine = { SSLKEYLOGFILE: '/tmp/keys', NODE_EXTRA_CA_CERTS: '/etc/ca.pem' }
    expect(pluginEnvironment(rules, mine, protocol)).toEqual(protocol)
    const named = { ...rules, envPrefix: 'none', envVars: ['NODE_EXTRA_CA_CERTS'] }
    expect(pluginEnvironment(named, mine, protocol)).toEqual({
      NODE_EXTRA_CA_CERTS: '/etc/ca.pem',
      ...protocol,
    })
  })

  it('never has a protocol variable that this start did not set', () => {
    for (const rules of [seen('*'), seen('PLUGIN_'), seen('none', ['PLUGIN_CLIENT_CERT'])]) {
      expect(rules).not.toHaveProperty('PLUGIN_CLIENT_CERT')
      expect(rules).not.toHaveProperty('PLUGIN_UNIX_SOCKET_DIR')
    }
  })

  it('lets the protocol win over a variable of the same name', () => {
    const clash = { ...own, SFTPGO_PLUGIN_AUTH: 'other' }
    const rules = { cmd: '/opt/x', envPrefix: '*', envVars: [] }
    expect(pluginEnvironment(rules, clash, protocol)['SFTPGO_PLUGIN_AUTH']).toBe('cookie')
  })

  it.each([
    ['/opt/sftpgo-plugin-auth', 'SFTPGO_PLUGIN_AUTH_'],
    ['my.plugin.v2', 'MY.PLUGIN_'],
    ['/opt/acme-auth.cjs', 'ACME_AUTH_'],
  ])('derives the prefix of %s as SFTPGo does', (cmd, prefix) => {
    expect(derivedPrefix(cmd)).toBe(prefix)
  })
})
