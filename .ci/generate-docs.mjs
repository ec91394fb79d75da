// Makes the pages that follow from code: docs/errors.md from the error catalogue, docs/metrics.md from the metrics table.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { format, resolveConfig } from 'prettier'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
const { errorCatalogue } = await load('src/base/error-catalogue.ts')
const { metricsPage } = await load('src/telemetry/metrics.ts')

const kinds = {
  FileError:
    'Something could not be done with a file. Clients hear an SFTP status; the log has the code and the path.',
  PluginError:
    'A plugin could not be started or asked. A plain "no" of a plugin is an answer, never one of these.',
  ConfigError:
    'A configuration, a manifest or a file it names could not be used. Commands end with exit code 3.',
  PackageError: 'A package could not be read, trusted, found or kept.',
  SecretError: 'A secret could not be sealed or opened. Messages name the keeper, never the secret.',
}
const known = new Set(errorCatalogue.map(({ kind }) => kind))
for (const kind of known) if (!(kind in kinds)) throw new Error(`docs/errors.md says nothing about ${kind}`)

const errors = [
  '# Errors',
  '',
  '```sh',
  'npx sftpgo-ts explain checksum-mismatch',
  '```',
  '',
  'Every error carries a code that stays for ever and a sentence that may improve. This page and `explain` are made',
  'from one catalogue, `src/base/error-catalogue.ts`; the compiler asks for a row when a code is added.',
  '',
  ...Object.entries(kinds).flatMap(([kind, meaning]) => [
    `## ${kind}`,
    '',
    meaning,
    '',
    '| code | what it means | what to do |',
    '| --- | --- | --- |',
    ...errorCatalogue
      .filter((row) => row.kind === kind)
      .map(({ code, meaning, remedy }) => `| \`${code}\` | ${cell(meaning)} | ${cell(remedy)} |`),
    '',
  ]),
]
const metrics = [
  '# Metrics',
  '',
  '```sh',
  'SFTPGO_TELEMETRY__BIND_PORT=10000 npx sftpgo-ts serve &',
  'curl http://127.0.0.1:10000/metrics',
  '```',
  '',
  'Off unless `telemetry.bind_port` is set; what a reload switches on counts from then.',
  'Beside the metrics below stand those of the Node process (`sftpgo_process_*`,',
  '`sftpgo_nodejs_*`). No label ever holds a user name, a path or an address, and a label takes at most 100 values.',
  '`/healthz` says that the process answers; `/readyz` says of each plugin slot, the database, the disk, the events and the',
  'workers whether they are `ready`, and whether they are `required`. It answers 503 when a part that is required is not ready.',
  'A slot is ready when each of its plugins is. It is not required when every plugin in it that is down has `"required": false`:',
  'the server would start without them, so no load balancer should take it away for them, and `ready: false` is there for who',
  'watches.',
  '',
  metricsPage(),
]
await write('docs/errors.md', errors)
await write('docs/metrics.md', metrics)

async function load(file) {
  const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-docs-'))
  const outfile = join(folder, 'module.mjs')
  await build({ entryPoints: [join(top, file)], outfile, bundle: true, platform: 'node', format: 'esm' })
  const module = await import(pathToFileURL(outfile).href)
  rmSync(folder, { recursive: true })
  return module
}

function cell(text) {
  return text.replaceAll('|', '\\|')
}

async function write(name, lines) {
  const file = join(top, name)
  writeFileSync(file, await format(lines.join('\n'), { ...(await resolveConfig(file)), parser: 'markdown' }))
}
