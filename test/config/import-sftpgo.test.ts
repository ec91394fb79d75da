import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { importSftpgoConfig } from '../../src/config/import-sftpgo.ts'
import { checkConfig } from '../../src/config/load-config.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

describe("SFTPGo's configuration", () => {
  it('comes over with checksums, mutual TLS and a list of what was lost', async () => {
    using folder = temporaryDirectory()
    writeFileSync(folder.file('geo'), '#!/bin/sh\n')
    const text = JSON.stringify({
      common: {
        idle_timeout: 20,
        upload_mode: 0,
        actions: { hook: 'https://example.com', execute_on: ['upload'] },
      },
      httpd: { bindings: [{ port: 8080 }] },
      ftpd: { bindings: [{ port: 0 }] },
      data_provider: { driver: 'mysql', name: 'sftpgo', host: 'db', something_new: 1 },
      plugins: [
        { type: 'ipfilter', cmd: 'geo', args: ['serve'], sha256sum: '' },
        {
          type: 'auth',
          cmd: '/usr/bin/python3',
          args: ['a.py'],
          auth_options: { scope: 5 },
          auto_mtls: true,
        },
      ],
    })
    writeFileSync(folder.file('sftpgo.json'), text)
    const { config, notes } = await importSftpgoConfig(folder.file('sftpgo.json'))
    const digest = createHash('sha256').update('#!/bin/sh\n').digest('hex')
    expect(config).toMatchObject({
      common: { idle_timeout: 20, upload_mode: 0 },
      plugins: [
        { type: 'ipfilter', cmd: folder.file('geo'), args: ['serve'], sha256sum: digest },
        { type: 'auth' },
      ],
    })
    const said = notes.map(({ kind, path, message }) => `${kind} ${path}: ${message}`).join('\n')
    expect(said).toContain('lost httpd.bindings[0].port')
    expect(said).toContain('lost common.actions.hook')
    expect(said).toContain('lost data_provider.driver')
    expect(said).toContain('lost data_provider.something_new: has no counterpart')
    expect(said).toContain(
      'changed plugins[0].sha256sum: was computed from the file as it is now: trusted on first use',
    )
    expect(said).not.toContain('lost plugins')
    expect(said).toContain('changed plugins[0].auto_mtls: is on now')
    expect(said).toContain('check plugins[1].cmd: names an interpreter')
    expect(said).not.toContain('ftpd')
  })

  it.each([
    ['yaml', 'sftpd:\n  bindings:\n    - port: 2200\n      address: 10.0.0.1\ncommon:\n  umask: "0077"\n'],
    ['toml', '[[sftpd.bindings]]\nport = 2200\naddress = "10.0.0.1"\n[common]\numask = "0077"\n'],
  ])('may be %s', async (extension, text) => {
    using folder = temporaryDirectory()
    const file = folder.file(`sftpgo.${extension}`)
    writeFileSync(file, text)
    const { config, notes } = await importSftpgoConfig(file)
    expect(config).toEqual({
      sftpd: { bindings: [{ port: 2200, address: '10.0.0.1' }] },
      common: { umask: '0077' },
    })
    expect(notes).toEqual([])
    expect(checkConfig({ file, text: JSON.stringify(config) }).problems).toEqual([])
  })

  it('leaves out entries of slots that do not exist here, and what a list may not hold', async () => {
    using folder = temporaryDirectory()
    const file = folder.file('sftpgo.json')
    const notifier = {
      type: 'notifier',
      cmd: '/opt/hear',
      notifier_options: { fs_events: ['upload', 'teleport', 'download', 'vanish'] },
    }
    const plugins = [{ type: 'eventsearcher', cmd: '/opt/search' }, notifier]
    writeFileSync(file, JSON.stringify({ sftpd: { bindings: [{ port: 2022, address: '' }] }, plugins }))
    const { config, notes } = await importSftpgoConfig(file)
    expect(config).toEqual({
      sftpd: { bindings: [{ port: 2022, address: '' }] },
      plugins: [{ ...notifier, notifier_options: { fs_events: ['upload', 'download'] } }],
    })
    const lost = notes.filter(({ kind }) => kind === 'lost').map(({ path }) => path)
    expect(lost.toSorted()).toEqual([
      'plugins[0].notifier_options.fs_events[1]',
      'plugins[0].notifier_options.fs_events[3]',
      'plugins[0].type',
    ])
  })

  it('has checksums of what an interpreter runs, not of the interpreter alone', async () => {
    using folder = temporaryDirectory()
    const [python, node, script] = ['python3', 'node', 'ask.py'].map((name) => folder.file(name))
    for (const [file, text] of [
      [python, 'p'],
      [node, 'n'],
      [script, 's'],
    ] as const)
      writeFileSync(file ?? '', text)
    const sha = (text: string): string => createHash('sha256').update(text).digest('hex')
    const plugins = [
      { type: 'auth', auth_options: { scope: 1 }, cmd: python, args: [script, '-v'], sha256sum: sha('p') },
      { type: 'ipfilter', cmd: node, args: [script, '-v'] },
      { type: 'ipfilter', cmd: python, args: ['-m', 'ask'] },
    ]
    const file = folder.file('sftpgo.json')
    writeFileSync(file, JSON.stringify({ plugins }))
    const { config, notes } = await importSftpgoConfig(file)
    expect(config['plugins']).toMatchObject([
      { cmd: python, args: [script, '-v'], sha256sum: sha('s'), interpreter_sha256: sha('p') },
      { cmd: script, args: ['-v'], sha256sum: sha('s') },
      { cmd: python, args: ['-m', 'ask'], sha256sum: sha('p') },
    ])
    for (const index of [0, 1, 2]) {
      const about = notes.find(({ path }) => path === `plugins[${index}].cmd`)
      expect(about?.message).toContain('names an interpreter')
    }
    const problems = checkConfig({ file, text: JSON.stringify(config) }).problems
    expect(problems.map(({ path }) => path.join('.'))).toEqual(['plugins.2.cmd'])
  })

  it('that cannot be read says so', async () => {
    await expect(importSftpgoConfig('/nowhere.json')).rejects.toMatchObject({ code: 'file-unreadable' })
    await expect(importSftpgoConfig('sftpgo.hcl')).rejects.toMatchObject({ code: 'file-unreadable' })
  })
})
