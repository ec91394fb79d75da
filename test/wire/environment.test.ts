import { describe, expect, it } from 'vitest'
import {
  announcementVariables,
  isProtocolVariable,
  negotiateVersion,
  readSurroundings,
} from '../../src/wire/environment.ts'

describe('what a host tells by the environment', () => {
  const cookie = { key: 'SFTPGO_PLUGIN_AUTH', value: 'v' }

  it('is only what holds for this start', () => {
    expect(announcementVariables({ cookie, versions: [1] })).toEqual({
      SFTPGO_PLUGIN_AUTH: 'v',
      PLUGIN_MIN_PORT: '10000',
      PLUGIN_MAX_PORT: '25000',
      PLUGIN_PROTOCOL_VERSIONS: '1',
    })
  })

  it('is read back by a plugin', () => {
    const told = announcementVariables({
      ...{
        cookie,
        versions: [1, 3],
        clientCertificatePem: 'PEM\n',
        socketFolder: '/run/x',
        socketGroup: 'sftp',
      },
    })
    expect(readSurroundings(told)).toEqual({
      ...{ versions: [1, 3], minPort: 10_000, maxPort: 25_000, clientCertificatePem: 'PEM\n' },
      ...{ socketFolder: '/run/x', socketGroup: 'sftp', multiplexAsked: false },
    })
  })

  it('is nothing for a plugin that was told nothing', () => {
    expect(readSurroundings({ PLUGIN_CLIENT_CERT: '', PLUGIN_MULTIPLEX_GRPC: '' })).toEqual({
      ...{ versions: [], minPort: 0, maxPort: 0, multiplexAsked: false },
    })
  })

  it('is refused where a port is none', () => {
    expect(() => readSurroundings({ PLUGIN_MIN_PORT: '1e3' })).toThrow('"PLUGIN_MIN_PORT" is not a port')
    expect(() => readSurroundings({ PLUGIN_MIN_PORT: '2', PLUGIN_MAX_PORT: '1' })).toThrow('greater')
  })

  it('is known by its names', () => {
    for (const name of ['PLUGIN_CLIENT_CERT', 'PLUGIN_ANYTHING', 'SFTPGO_TS_PLUGIN_SETTINGS']) {
      expect(isProtocolVariable(name)).toBe(true)
    }
    for (const name of ['PATH', 'MY_PLUGIN_X', 'SFTPGO_PLUGIN_AUTH'])
      expect(isProtocolVariable(name)).toBe(false)
  })
})

describe('the version of the messages', () => {
  it.each([
    [[1, 2, 3], [], 1],
    [[1, 2, 3], [1], 1],
    [[1, 2, 3], [3, 2], 3],
    [[1, 2, 3], [5, 2, 1], 2],
    [[1], [9, 7], 1],
    [[2, 3], [1], 2],
  ])('of %j and %j is %i', (own, asked, version) => {
    expect(negotiateVersion(own, asked)).toBe(version)
  })
})
