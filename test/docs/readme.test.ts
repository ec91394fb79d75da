import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { expect, it } from 'vitest'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { startServer } from '../helpers/start-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const skipped = withoutOpenSsh === undefined ? '' : ` (skipped: ${withoutOpenSsh} is not installed)`
const readme = readFileSync('README.md', 'utf8')

it.skipIf(withoutOpenSsh !== undefined)(
  `the plugin of the README lets its user in, and nobody else${skipped}`,
  async () => {
    using folder = temporaryDirectory()
    const source = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const cmd = await bundle(folder.path, source.replace('/srv/ada', folder.file('ada')))
    await using running = await startServer({
      plugins: [
        {
          type: 'auth',
          cmd,
          sha256sum: createHash('sha256').update(readFileSync(cmd)).digest('hex'),
          auth_options: { scope: 1 },
        },
      ],
    })
    const login = (password: string) =>
      sftpBatch({
        port: running.port,
        username: 'ada',
        password,
        batch: ['mkdir made', 'ls'],
        cwd: folder.path,
      })
    const right = await login('engine')
    expect(right.output).toContain('made')
    expect(right.status).toBe(0)
    expect((await login('difference')).status).not.toBe(0)
    // Where a plugin decides, no account is made that nobody asked for.
    expect(running.server.firstAccount).toBeUndefined()
  },
)

it('the README fits its links: each file it names is there', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !link.startsWith('http'))
  expect(links.length).toBeGreaterThan(5)
  for (const link of links) expect(() => readFileSync(resolve(link)), link).not.toThrow(/ENOENT/)
})

async function bundle(folder: string, source: string): Promise<string> {
  const cache = resolve('node_modules/.cache/readme')
  mkdirSync(cache, { recursive: true })
  const entry = join(cache, `plugin-${process.pid}.ts`)
  writeFileSync(entry, source)
  const outfile = join(folder, 'ada.mjs')
  await build({
    entryPoints: [entry],
    outfile,
    ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20' },
    alias: { 'sftpgo-ts/sdk': resolve('src/sdk.ts') },
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)`,
    },
  })
  return outfile
}
