// What the build makes beside compiled TypeScript: files that the program reads at run time, and the example plugins, each
// bundled into one file whose checksum goes into env.d/, where the sample configuration takes it from.
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')

/** The example plugins that the sample configuration starts, in the order of its entries. */
const sampled = ['hello-notifier']
/** Examples that an operator configures. */
const others = ['kms-vault']

copyPlainFiles('')
const lines = ['# Written by the build: the checksums of the example plugins in sftpgo.config.json.']
for (const [index, name] of sampled.entries()) {
  const outfile = await bundle(name)
  const digest = createHash('sha256').update(readFileSync(outfile)).digest('hex')
  lines.push(`SFTPGO_PLUGINS__${index}__SHA256SUM=${digest}`)
}
for (const name of others) await bundle(name)
mkdirSync(join(top, 'env.d'), { recursive: true })
writeFileSync(join(top, 'env.d/example-plugins.env'), `${lines.join('\n')}\n`)

/** Programs in other languages and schemas that lie beside their TypeScript. */
function copyPlainFiles(folder) {
  for (const entry of readdirSync(join(top, 'src', folder), { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) copyPlainFiles(path)
    else if (!entry.name.endsWith('.ts') && !existsSync(join(top, 'dist', path))) {
      mkdirSync(join(top, 'dist', folder), { recursive: true })
      cpSync(join(top, 'src', path), join(top, 'dist', path))
    }
  }
}

/** One example plugin as one file; where it lies. */
async function bundle(name) {
  const outfile = join(top, `dist/examples/${name}.mjs`)
  await build({
    entryPoints: [join(top, `examples/${name}/plugin.ts`)],
    outfile,
    ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20', absWorkingDir: top },
    // Libraries written for require() look for it.
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)`,
    },
    alias: { 'sftpgo-ts/sdk': join(top, 'dist/sdk.js') },
    logLevel: 'warning',
  })
  return outfile
}
