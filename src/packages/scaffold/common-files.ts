import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { thisPlatform } from '../../host/manifest.ts'
import type { ScaffoldFiles, ScaffoldOptions } from './scaffold-options.ts'
import { slotSamples } from './slot-samples.ts'

/** What every new plugin has, whatever its language. */
export function commonFiles(options: ScaffoldOptions): ScaffoldFiles {
  const { name, slot, version } = options
  const sample = slotSamples[slot]
  return {
    'plugin.json': json({
      ...{ name, version: '0.1.0', slot, protocol: 1, description: `${name} ${sample.does}` },
      engines: { 'sftpgo-ts': `>=${version}` },
      ...programOf(options),
      settings: 'settings.schema.json',
      permissions: { environment: [], network: [], files: [] },
    }),
    'settings.schema.json': json({
      $schema: 'http://json-schema.org/draft-07/schema#',
      ...{ type: 'object', additionalProperties: false, properties: sample.settings },
      ...(slot === 'kms' && { required: ['passphrase'] }),
    }),
    'test/fixtures.json': json(sample.fixtures),
    'README.md': readme(options),
    LICENSE: licence(),
    '.github/workflows/test.yml': testWorkflow(options),
    '.github/workflows/release.yml': releaseWorkflow(options),
  }
}

/** A value as the text of a JSON file. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function programOf({ name, language }: ScaffoldOptions): object {
  if (language === 'typescript') return { source: 'src/plugin.ts', entry: `${name}.mjs` }
  if (language === 'python')
    return { entry: 'plugin.py', include: ['serve.py'], interpreter: '/usr/bin/python3' }
  // Another platform is another line of "entry": the build is told which one it is for.
  const platforms = [...new Set(['linux-amd64', thisPlatform()])]
  return {
    build: ['go', 'build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', '{entry}', '.'],
    entry: Object.fromEntries(platforms.map((platform) => [platform, `bin/${platform}/${name}`])),
  }
}

function readme({ name, slot, language }: ScaffoldOptions): string {
  const tests = language === 'typescript' ? 'its own tests, then' : 'what its compiler says, then'
  const archive = language === 'go' ? `${name}-0.1.0-linux-amd64.tgz` : `${name}-0.1.0-any.tgz`
  return `# ${name}

\`\`\`sh
npm install
npm run dev
\`\`\`

starts a throw-away server with this plugin and prints the \`sftp\` line that logs in. Change the plugin and save: the running
server takes the new one, and open sessions stay.

| | |
|---|---|
| \`npm test\` | ${tests} the contract of the slot \`${slot}\` |
| \`npm run lint\` | what is wrong or missing in this folder |
| \`npm run pack\` | archives, checksums and a bill of materials in \`dist/\` |
| \`sftpgo-ts plugin install dist/${archive}\` | on a server |

\`plugin.json\` says what it is and what it asks for, \`settings.schema.json\` what can be set. A tag \`vX.Y.Z\` releases it.
${readmeOf[language]}`
}

const readmeOf: Readonly<Record<ScaffoldOptions['language'], string>> = {
  typescript: '',
  go: '',
  python: `
It runs with \`/usr/bin/python3\`, which needs what \`requirements.txt\` names; where that is missing, \`npm run dev\` and \`npm test\`
make a \`.venv\` first, which they prefer.
`,
}

/** Our own licence text, which lies beside the program. */
function licence(): string {
  return readFileSync(fileURLToPath(new URL('../../../LICENSE', import.meta.url)), 'utf8')
}

const setUp = `      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with: { node-version: 24 }
`

function toolSteps({ language }: ScaffoldOptions): string {
  if (language === 'go') return `      - uses: actions/setup-go@v5\n        with: { go-version: stable }\n`
  if (language === 'python') return `      - run: npm run setup\n`
  return ''
}

/** On another machine the program comes by its version. */
function installStep({ dependency, version }: ScaffoldOptions): string {
  if (!dependency.startsWith('file:')) return '      - run: npm ci || npm install\n'
  return `      - run: npm pkg set "devDependencies.sftpgo-ts=^${version}" && rm -f package-lock.json && npm install\n`
}

function testWorkflow(options: ScaffoldOptions): string {
  const test =
    options.language === 'typescript'
      ? '      - run: npm run types\n      - run: npm run lint\n      - run: npm test\n      - run: npm run pack\n'
      : '      - run: npm run lint\n      - run: npm test\n      - run: npm run pack\n'
  return `name: test
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
${setUp}${toolSteps(options)}${installStep(options)}${test}`
}

function releaseWorkflow(options: ScaffoldOptions): string {
  return `name: release
on:
  push:
    tags: ['v*.*.*']
permissions: { contents: write }
jobs:
  release:
    runs-on: ubuntu-latest
    env:
      GH_TOKEN: \${{ github.token }}
      # The catalog's private key (sftpgo-ts catalog key); without one there is a release and no signed catalog.
      CATALOG_KEY: \${{ secrets.CATALOG_KEY }}
    steps:
${setUp}${toolSteps(options)}${installStep(options)}      - run: test "v$(node -p "require('./plugin.json').version")" = "$GITHUB_REF_NAME"
      - run: npm run pack
      - run: gh release create "$GITHUB_REF_NAME" dist/* --generate-notes
      # The release named "catalog" is a catalog: "sftpgo-ts catalog add NAME .../releases/download/catalog --key ..."
      - run: |
          mkdir -p catalog
          gh release view catalog > /dev/null 2>&1 || gh release create catalog --latest=false --notes 'All versions'
          # An index that is there and cannot be fetched must not be replaced by an empty one.
          assets="$(gh release view catalog --json assets --jq '.assets[].name')"
          case "$assets" in *index.json*) gh release download catalog --dir catalog --pattern 'index.json*' ;; esac
          (umask 077; printf '%s\\n' "$CATALOG_KEY" > catalog.key)
          npx sftpgo-ts catalog publish catalog dist/*.tgz --key catalog.key
          gh release upload catalog catalog/* --clobber
        if: env.CATALOG_KEY != ''
`
}
