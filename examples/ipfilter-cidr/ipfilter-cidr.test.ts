import { writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'
import { runCommand } from '../../test/helpers/server-process.ts'
import { until } from '../../test/helpers/until.ts'

it.skipIf(needsOpenSsh !== '')(
  `ipfilter-cidr refuses listed networks, as the list is after a reload${needsOpenSsh}`,
  async () => {
    await using example = await startExample('ipfilter-cidr', (file) => {
      writeFileSync(file('networks'), '# nobody yet\n192.0.2.0/24\n2001:db8::/32 # documentation\n')
      return { settings: { file: file('networks') } }
    })
    const list = (text: string): void => writeFileSync(example.file('networks'), text)
    const enters = async (): Promise<boolean> =>
      (await example.sftp('demo', example.server.password ?? '', 'ls')).status === 0
    expect(await enters()).toBe(true)

    list('127.0.0.0/8\n')
    example.command('reload')
    expect(await enters()).toBe(false)

    list('')
    example.server.process.kill('SIGHUP')
    await until('the list is read after SIGHUP', enters)

    // Half a list protects nobody: a filter that could not read it refuses everyone until it can.
    list('192.0.2.0/24\n300.0.0.1\n')
    runCommand(['reload', '--config', example.file('test.config.json')])
    expect(await enters()).toBe(false)
    expect(example.server.log()).toContain('Line 2 is no network')
    list('192.0.2.0/24\n')
    example.command('reload')
    expect(await enters()).toBe(true)
  },
  60_000,
)
