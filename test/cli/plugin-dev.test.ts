import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { openWorkshop, type Workshop, type WorkshopRequest } from '../../src/cli/dev/workshop.ts'
import { openSftpSession, sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { attachDebugger } from '../helpers/debugger-client.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const skip = withoutOpenSsh !== undefined
const title = skip ? ` (skipped: no ${withoutOpenSsh})` : ''

/** A plugin's folder whose answer to strangers can be changed, and the server around it. */
async function workshop(more: Partial<WorkshopRequest> = {}) {
  const folder = temporaryDirectory()
  mkdirSync(folder.file('src'))
  mkdirSync(folder.file('test'))
  writeFileSync(
    folder.file('plugin.json'),
    JSON.stringify({
      ...{ name: 'acme-auth', version: '0.1.0', slot: 'auth', source: 'src/plugin.ts', entry: 'acme.mjs' },
    }),
  )
  const samples = { accepted: { username: 'ada', password: 'engine' } }
  writeFileSync(folder.file('test/fixtures.json'), JSON.stringify({ settings: {}, samples }))
  const source = (
    reason: string,
  ): string => `import { servePlugin } from ${JSON.stringify(resolve('src/sdk.ts'))}
    await servePlugin({ auth: { async checkPassword({ username, password }) {
      if (password === 'engine') return { granted: true, user: { username, homeDirectory: '/nowhere/' + username, permissions: ['*'] } }
      return { granted: false, reason: ${JSON.stringify(reason)} }
    } } })`
  const save = (text: string): void => writeFileSync(folder.file('src/plugin.ts'), text)
  save(source('First'))
  const lines: string[] = []
  const print = (line: string): void => void lines.push(line)
  const opened = await openWorkshop({ target: folder.path, scope: 1, inspect: false, print, ...more })
  return {
    ...{ opened, lines, save, source },
    said: (text: string) => lines.some((line) => line.includes(text)),
    async [Symbol.asyncDispose]() {
      await opened.close()
      folder[Symbol.dispose]()
    },
  }
}

const refusedLogin = ({ port }: Workshop) =>
  sftpBatch({ port, username: 'ada', password: 'wrong', batch: ['pwd'] })

it.skipIf(skip)(
  `takes every saved change while a session goes on, and keeps the old one when it does not compile${title}`,
  async () => {
    await using it = await workshop()
    const { opened, lines, said, save, source } = it
    expect(lines).toContain(`  sftp -P ${opened.port} ada@127.0.0.1`)
    await using session = openSftpSession({ port: opened.port, username: 'ada', password: 'engine' })
    await session.answer('pwd', 'Remote working directory: /')
    await until('the call is in the table', () =>
      lines.some((line) => /checkPassword +ada .*granted/.test(line)),
    )

    save(source('Second'))
    const saved = performance.now()
    await until('the change is taken', () => said('Taken after'))
    expect(performance.now() - saved).toBeLessThan(3_000)
    await refusedLogin(opened)
    await until('the new one answers', () => said('refused: Second'))

    save('const = 1')
    await until('the error is shown', () => said('Expected identifier'))
    await refusedLogin(opened)
    expect(lines.filter((line) => line.includes('refused: Second'))).toHaveLength(2)

    save("throw new Error('broken at the start')")
    await until(
      'the one that does not start is named',
      () => lines.filter((line) => line.startsWith('NOT TAKEN')).length === 2,
      15_000,
    )
    for (const word of ['Third', 'Fourth']) {
      save(source(word))
      const before = lines.filter((line) => line.startsWith('Taken')).length
      await until(
        `"${word}" is taken`,
        () => lines.filter((line) => line.startsWith('Taken')).length > before,
      )
    }
    await refusedLogin(opened)
    await until('the last one answers', () => said('refused: Fourth'))
    await session.answer('mkdir still-here', 'sftp> mkdir still-here')
    await session.answer('ls', 'still-here')
  },
)

it.skipIf(skip)(`runs a folder of programs and names what it leaves out${title}`, async () => {
  using folder = temporaryDirectory()
  const { cmd } = await fixturePlugin()
  writeFileSync(folder.file('notes.txt'), 'no program')
  mkdirSync(folder.file('old'))
  writeFileSync(
    folder.file('filter.mjs'),
    `#!/usr/bin/env node\nprocess.argv.push('polite'); await import(${JSON.stringify(cmd)})\n`,
  )
  writeFileSync(folder.file('silly'), '#!/bin/sh\necho hello\n')
  for (const name of ['filter.mjs', 'silly']) chmodSync(folder.file(name), 0o755)
  const lines: string[] = []
  const opened = await openWorkshop({
    ...{ target: folder.path, slot: 'ipfilter', scope: 1, inspect: false },
    print: (line) => void lines.push(line),
  })
  try {
    expect(lines).toContain('Left out "notes.txt": it is not executable (chmod +x)')
    expect(lines).toContain('Left out "old": it is a folder without a plugin.json')
    await until('the one that is no plugin is named', () =>
      lines.some((line) => line.startsWith('silly: error')),
    )
    await refusedLogin(opened)
    await until('the good one is asked', () =>
      lines.some((line) => /check +127\.0\.0\.1 .*allowed/.test(line)),
    )
  } finally {
    await opened.close()
  }
})

it.skipIf(skip)(
  `lets a debugger in, and waits for it longer than any deadline while it holds a login${title}`,
  { timeout: 40_000 },
  async () => {
    await using it = await workshop({ inspect: true })
    await until('the address of the debugger is shown', () => it.said('ws://127.0.0.1:'))
    const address = /ws:\S+/.exec(it.lines.find((line) => line.includes('ws://')) ?? '')?.[0] ?? ''
    await using client = await attachDebugger(address)
    await client.send('Debugger.enable')
    await client.send('Debugger.pause')
    const login = sftpBatch({ port: it.opened.port, username: 'ada', password: 'engine', batch: ['pwd'] })
    await until('the login stands at a breakpoint', () => client.heard('Debugger.paused') > 0)
    // An auth plugin has five seconds for an answer, and another one takes its place when it does not seem to be alive.
    await new Promise((resolve) => setTimeout(resolve, 7_000))
    expect(it.lines.filter((line) => line.includes('checkPassword'))).toEqual([])
    await client.send('Debugger.disable')
    expect((await login).output).toContain('Remote working directory: /')
    expect(it.lines.filter((line) => line.includes('ws://'))).toHaveLength(1)
  },
)
