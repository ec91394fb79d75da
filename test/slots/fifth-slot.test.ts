import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const top = join(import.meta.dirname, '../..')
const added = readFileSync(join(top, 'test/fixtures/slots/scanner.txt'), 'utf8')

// Adds a slot to a copy of the sources in the three steps of the house, and then uses nothing but what is there anyway.
describe('a fifth slot: one proto, one folder, one line', () => {
  const tree = temporaryDirectory()

  beforeAll(async () => {
    for (const part of ['src', 'proto', '.ci', 'docs', 'package.json', 'tsconfig.json', '.prettierrc.json'])
      cpSync(join(top, part), tree.file(part), { recursive: true })
    symlinkSync(join(top, 'node_modules'), tree.file('node_modules'))
    for (const [path, text] of addedFiles()) {
      mkdirSync(dirname(tree.file(path)), { recursive: true })
      writeFileSync(tree.file(path), text)
    }
    edit('src/slots/index.ts', (text) =>
      text
        .replace('kms, ipfilter }', 'kms, ipfilter, scanner }')
        .replace(/^import type \{ AnySlot/m, "import { scanner } from './scanner/index.ts'\n$&"),
    )
    expect(await run('node', ['.ci/generate.mjs'])).toMatchObject({ code: 0 })
    writeFileSync(tree.file('src/scanning.ts'), plugin)
    writeFileSync(tree.file('src/asking.ts'), asking)
    await Promise.all([bundle('main'), bundle('asking'), bundle('scanning', 'cjs')])
  }, 120_000)

  afterAll(() => tree[Symbol.dispose]())

  it('takes some sixty lines', () => {
    const lines = addedFiles().flatMap(([, text]) => text.split('\n'))
    const counted = lines.filter((line) => line.trim() !== '' && !line.startsWith('import'))
    expect(counted.length).toBeLessThan(60)
  })

  it('compiles everywhere, and what authors offer is checked by its types', async () => {
    expect(await run('node_modules/.bin/tsc', ['--noEmit', '-p', 'tsconfig.json'])).toMatchObject({
      code: 0,
      text: '',
    })
  })

  it('is known to configuration and command line', async () => {
    writeConfig({ type: 'scanner', scanner_options: { deep: true } })
    expect(await cli('config', 'check')).toMatchObject({ code: 0 })
    const probed = await cli('plugin', 'probe', 'it', '--json')
    expect(probed.code, probed.text).toBe(0)
    expect(JSON.parse(probed.text)).toMatchObject({ works: true })
    expect(probed.text).toContain('Scan')
    writeConfig({ type: 'scanner', scanner_options: { deep: 'very' } })
    expect(await cli('config', 'check')).toMatchObject({
      code: 3,
      text: expect.stringMatching(/scanner_options\.deep/),
    })
    writeConfig({ type: 'scanner', kms_options: kmsOptions })
    expect(await cli('config', 'check')).toMatchObject({
      code: 3,
      text: expect.stringMatching(/kms_options.*belongs to entries of type kms, not scanner/s),
    })
  })

  it('is verified, supervised and asked over mutual TLS by the host, and answered through the SDK', async () => {
    const said = await run('node', ['dist/asking.js', JSON.stringify(entry()), tree.file('state')])
    expect(said.code, said.text).toBe(0)
    expect(JSON.parse(said.text)).toEqual({
      status: [['scanner', 'ready']],
      answers: [
        { clean: false, finding: '/virus.exe' },
        { clean: true, finding: '/letter.txt' },
      ],
      kept: ['kept'],
    })
  })

  const plugin = `import { servePlugin, type Offers } from './sdk.ts'
import type { slots } from './slots/index.ts'

// @ts-expect-error -- scan answers an object
export const wrong: Offers<typeof slots> = { scanner: { scan: async () => true } }

void servePlugin({
  scanner: { scan: async (path) => ({ clean: !path.includes('virus'), finding: path }) },
})
`

  const asking = `import { startPluginHost } from './host/host.ts'
import { silentLogger } from './base/log.ts'
import { checkContract } from './slots/check-contract.ts'

const [entry = '', stateFolder = ''] = process.argv.slice(2)
await using host = await startPluginHost({ entries: [JSON.parse(entry)], stateFolder, log: silentLogger })
const api = host.ask('scanner', 'it')
const answers = [await api.scan('/virus.exe'), await api.scan('/letter.txt')]
const kept = (await checkContract('scanner', api, {})).map(({ outcome }) => outcome)
const status = host.status().map(({ type, state }) => [type, state])
process.stdout.write(JSON.stringify({ status, answers, kept }))
`

  const kmsOptions = { scheme: 'one', encrypted_status: 'One' }

  function entry() {
    const cmd = tree.file('dist/scanning.cjs')
    const sha256sum = createHash('sha256').update(readFileSync(cmd)).digest('hex')
    return { name: 'it', type: 'scanner', cmd, args: [], sha256sum }
  }

  function writeConfig(more: Readonly<Record<string, unknown>>): void {
    writeFileSync(tree.file('config.json'), JSON.stringify({ plugins: [{ ...entry(), ...more }] }))
  }

  function cli(...args: readonly string[]) {
    return run('node', ['dist/main.js', ...args, '--config', tree.file('config.json')])
  }

  function edit(path: string, change: (text: string) => string): void {
    writeFileSync(tree.file(path), change(readFileSync(tree.file(path), 'utf8')))
  }

  /** A plugin brings its libraries along, the server has them beside it. */
  function bundle(name: string, format: 'esm' | 'cjs' = 'esm') {
    return build({
      entryPoints: [tree.file(`src/${name}.ts`)],
      outfile: tree.file(`dist/${name}.${format === 'esm' ? 'js' : 'cjs'}`),
      ...{ bundle: true, platform: 'node', format, target: 'node20', logLevel: 'silent' },
      packages: format === 'esm' ? 'external' : 'bundle',
    })
  }

  function run(command: string, args: readonly string[]): Promise<{ code: number; text: string }> {
    return new Promise((resolve) => {
      const program = command === 'node' ? process.execPath : tree.file(command)
      execFile(program, args, { cwd: tree.path }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), text: stdout + stderr })
      })
    })
  }
})

/** The files that a developer writes. */
function addedFiles(): readonly (readonly [path: string, text: string])[] {
  return added
    .split(/^=== /m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)])
}
