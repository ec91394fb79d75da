import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'

it.skipIf(needsOpenSsh !== '')(
  `auth-file lets in who stands in the file, as the file is now${needsOpenSsh}`,
  async () => {
    await using example = await startExample('auth-file', (file) => {
      writeFileSync(file('users.json'), usersWith('engine', file('ada')))
      return { settings: { file: file('users.json') } }
    })
    const { sftp, file } = example
    expect(await sftp('ada', 'engine', 'mkdir made', 'ls')).toMatchObject({
      status: 0,
      output: expect.stringContaining('made'),
    })
    expect((await sftp('ada', 'difference', 'ls')).status).not.toBe(0)
    expect((await sftp('nobody', 'engine', 'ls')).status).not.toBe(0)

    writeFileSync(file('users.json'), usersWith('analytical', file('ada')))
    expect((await sftp('ada', 'engine', 'ls')).status).not.toBe(0)
    expect(await sftp('ada', 'analytical', 'ls')).toMatchObject({ status: 0 })

    writeFileSync(file('users.json'), '{"ada":{')
    expect((await sftp('ada', 'analytical', 'ls')).status).not.toBe(0)
    expect(example.server.log()).toContain('Cannot read the users')
    expect(example.server.log()).not.toContain('analytical')
  },
  60_000,
)

function usersWith(password: string, home: string): string {
  const program = join(import.meta.dirname, 'hash-password.mjs')
  const { stdout } = spawnSync(process.execPath, [program], { input: `${password}\n`, encoding: 'utf8' })
  return JSON.stringify({ ada: { password: stdout.trim(), home, permissions: ['*'] } })
}
