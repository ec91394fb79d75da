import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { scaffoldFiles, writeScaffold } from '../../src/packages/scaffold/scaffold.ts'
import { programVersion } from '../../src/server/version.ts'
import { runCommand } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

// GitHub's own program, as far as the workflow uses it: a release is a folder, its assets are the files in it.
const gh = `#!/bin/sh -e
[ "$1" = release ] || exit 9
verb="$2" release="$RELEASES/$3"; shift 3
case "$verb" in
  view) [ -d "$release" ] || exit 1; [ "$1" != --json ] || ls "$release" ;;
  create) mkdir "$release"; for word; do [ ! -f "$word" ] || cp "$word" "$release/"; done ;;
  upload) for word; do [ ! -f "$word" ] || cp "$word" "$release/"; done ;;
  download) cp "$release"/index.json* "$2/" ;;
  *) exit 9 ;;
esac
`

it(
  'a tag on an untouched scaffold makes a release with everything in it, and a catalog that keeps every version',
  { timeout: 120_000 },
  () => {
    using folder = temporaryDirectory()
    const home = folder.file('acme-filter')
    scaffold(home)
    const releases = folder.file('releases')
    mkdirSync(releases)
    mkdirSync(folder.file('bin'))
    writeFileSync(folder.file('bin/gh'), gh, { mode: 0o755 })
    const said = runCommand(['catalog', 'key', folder.file('key')]).stdout
    const key = /ed25519:\S+/.exec(said)?.[0] ?? ''
    const release = (tag: string): void => {
      const { VITEST: _, ...own } = process.env
      const env = {
        ...own,
        ...{
          GITHUB_REF_NAME: tag,
          CATALOG_KEY: readFileSync(folder.file('key'), 'utf8'),
          RELEASES: releases,
        },
        PATH: `${folder.file('bin')}:${process.env['PATH'] ?? ''}`,
      }
      for (const step of stepsOf(home)) {
        const ran = spawnSync('bash', ['-e', '-c', step], { cwd: home, env, encoding: 'utf8' })
        expect(ran.status, `${step}\n${ran.stdout}${ran.stderr}`).toBe(0)
      }
    }

    release('v0.1.0')
    expect(readdirSync(join(releases, 'v0.1.0')).sort()).toEqual([
      ...['acme-filter-0.1.0-any.tgz', 'acme-filter.mjs', 'checksums.txt'],
    ])
    const checked = spawnSync('sha256sum', ['-c', 'checksums.txt'], { cwd: join(releases, 'v0.1.0') })
    expect(checked.status).toBe(0)

    const manifest = join(home, 'plugin.json')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"0.1.0"', '"0.2.0"'))
    spawnSync('rm', ['-rf', 'dist', 'catalog', 'catalog.key'], { cwd: home })
    release('v0.2.0')

    const config = folder.file('one.json')
    writeFileSync(config, '{}')
    const about = (...args: readonly string[]) => runCommand([...args, '--config', config])
    expect(about('catalog', 'add', 'acme', join(releases, 'catalog'), '--key', key)).toMatchObject({
      status: 0,
    })
    expect(about('plugin', 'install', 'acme-filter@0.1.0')).toMatchObject({ status: 0 })
    expect(about('plugin', 'install', 'acme-filter').stdout).toContain('acme-filter 0.2.0 (was 0.1.0)')
  },
)

/** A new plugin after "npm install". */
function scaffold(home: string): void {
  const files = scaffoldFiles({
    ...{ name: 'acme-filter', slot: 'ipfilter', language: 'typescript' },
    ...{ version: programVersion(), dependency: 'file:..' },
  })
  writeScaffold(home, files)
  mkdirSync(join(home, 'node_modules/.bin'), { recursive: true })
  symlinkSync(resolve('.'), join(home, 'node_modules/sftpgo-ts'))
  const program = `#!/bin/sh\nexec "${process.execPath}" "${resolve('dist/main.js')}" "$@"\n`
  writeFileSync(join(home, 'node_modules/.bin/sftpgo-ts'), program, { mode: 0o755 })
}

/** What the release workflow runs, without what fetches from the network. */
function stepsOf(home: string): readonly string[] {
  const { on, jobs } = parse(readFileSync(join(home, '.github/workflows/release.yml'), 'utf8')) as {
    readonly on: unknown
    readonly jobs: { readonly release: { readonly steps: readonly { readonly run?: string }[] } }
  } // the scaffold's own file
  expect(on).toEqual({ push: { tags: ['v*.*.*'] } })
  const steps = jobs.release.steps.flatMap(({ run }) => (run === undefined ? [] : [run]))
  expect(steps[0]).toContain('npm install')
  return steps.slice(1)
}
