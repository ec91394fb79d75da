import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { checkConfig } from '../../src/config/load-config.ts'
import { commandTable } from '../../src/cli/command-table.ts'
import { runCommand } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const pages = [
  'README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const blocks = pages.flatMap((page) =>
  [...readFileSync(page, 'utf8').matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(
    ([, kind = '', text = '']) => ({
      ...{ page, kind, text },
    }),
  ),
)
const lines = blocks
  .filter(({ kind }) => kind === 'sh' || kind === 'bash')
  .flatMap(({ text }) => text.split('\n').filter((line) => line.trim() !== ''))
const commands = lines
  .map((line) => line.replace(/\s+#.*$/, '').replace(/^npx /, ''))
  .filter((line) => line.startsWith('sftpgo-ts '))

/** Beginnings of lines that are not run here, with where they are, or why they are not. */
const elsewhere = [
  ['npm start', 'the smoke of CI starts a clone'],
  ['sftp -P', 'test/journeys/first-start.test.ts'],
  ['npm test', 'this very run'],
  ['WRITE_CLIENTS_TABLE=1 npm test', 'the run that writes docs/clients.md'],
  ['npm ls', 'says what is installed here'],
  ['npm run soak', 'takes longer than a test may'],
  ['npm run bench', 'takes longer than a test may; CI prints its quick form'],
  ["printf 'a long passphrase", 'test/cli/kms-commands.test.ts'],
  ["printf 'another passphrase", 'test/cli/kms-commands.test.ts'],
  ['SFTPGO_KMS__SECRETS__URL', 'test/cli/kms-commands.test.ts'],
  ['npx vitest', 'test/architecture.test.ts'],
  ['ssh-audit', 'test/ssh'],
  ['SFTPGO_TELEMETRY__BIND_PORT', 'test/journeys/life-of-the-process.test.ts'],
  ['curl http://127.0.0.1:10000/metrics', 'test/journeys/life-of-the-process.test.ts'],
  ['SFTPGO_PLUGIN_AUTH', 'test/sdk/plugin-protocol-page.test.ts'],
  ['sftp -D', 'test/cli/sftp-server.test.ts'],
] as const
/** Commands that need nothing but an empty folder. */
const runHere = /^sftpgo-ts (explain|config check|user list|ban|address) ?/

it('every line of a shell in the docs is a command of ours, or it is said where it runs', () => {
  expect(lines.length).toBeGreaterThan(15)
  const unknown = lines.filter(
    (line) =>
      !/^(npx )?sftpgo-ts /.test(line) && !elsewhere.some(([beginning]) => line.startsWith(beginning)),
  )
  expect(unknown).toEqual([])
})

it('every command of ours in the docs exists with its options', async () => {
  for (const line of commands) {
    const row = commandTable
      .filter(({ words }) => `${line} `.startsWith(`sftpgo-ts ${words} `))
      .sort((a, b) => b.words.length - a.words.length)[0]
    expect(row, line).toBeDefined()
    const command = await row?.load()
    if (command === undefined || 'raw' in command) continue
    const known = (command.options ?? []).map(([flags]) => flags).join(' ')
    for (const [option] of line.matchAll(/--[a-z-]+/g)) expect(known, line).toContain(option)
  }
})

it('commands of the docs that need no server run in an empty folder', { timeout: 40_000 }, () => {
  using folder = temporaryDirectory()
  writeFileSync(folder.file('sftpgo.config.json'), '{}')
  const run = commands.filter((line) => runHere.test(line))
  expect(run.length).toBeGreaterThan(4)
  for (const line of run) {
    const { status, stderr } = runCommand(line.split(' ').slice(1), { cwd: folder.path })
    expect([line, status, stderr]).toEqual([line, 0, ''])
  }
})

it('every JSON in the docs is read, and configurations fit the schema', () => {
  using folder = temporaryDirectory()
  for (const { page, text } of blocks.filter(({ kind }) => kind === 'json')) {
    expect(() => JSON.parse(text) as unknown, page).not.toThrow()
    if (!text.includes('"plugins"')) continue
    const { problems } = checkConfig({
      file: folder.file('one.json'),
      text: text.replaceAll('…', '0'.repeat(64)),
    })
    // The program that it names is on nobody's machine.
    expect(
      problems.filter(({ code }) => code !== 'file-unreadable'),
      page,
    ).toEqual([])
  }
})
