import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import { PackageError } from '../base/errors.ts'

/** One JavaScript file with everything in it, and what it was made of. */
export interface BundledPackage {
  readonly bytes: Buffer
  readonly packages: readonly BundledDependency[]
  /** What it still imports from outside: names of Node's own modules, if all is well. */
  readonly externals: readonly string[]
}

/** An npm package that is inside the bundle. */
export interface BundledDependency {
  readonly name: string
  readonly version: string
  readonly license: string
}

/** What is bundled. */
export interface BundleOptions {
  readonly folder: string
  /** The entry, relative to the folder. */
  readonly source: string
  /** The program of the first line, by absolute path. */
  readonly node?: string
}

/**
 * The first lines of a bundle. A shell reads them as "start node with me", JavaScript as a text and a comment.
 * Other hosts start plugins in an environment without PATH, where `env node` finds nothing.
 */
const shellHead = `#!/bin/sh
':' //; PATH="\${PATH:-/usr/local/bin:/usr/bin:/bin}"; export PATH; exec node "$0" "$@"
`

/** Libraries inside still ask for `require`; node's own place is one that exists however the bundle is started. */
const requireLine =
  "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(process.execPath);\n"

/** Bundles a plugin's source with the author's own esbuild. Throws `manifest-invalid` with its words when it does not compile. */
export async function bundlePlugin({ folder, source, node }: BundleOptions): Promise<BundledPackage> {
  if (!existsSync(join(folder, source)))
    throw new PackageError('manifest-invalid', `Cannot bundle: "${source}" is not there`)
  const esbuild = authorsEsbuild(folder)
  let result
  try {
    result = await esbuild.build({
      absWorkingDir: folder,
      entryPoints: [source],
      bundle: true,
      platform: 'node',
      target: 'node20',
      // Modules know top-level await, which a plugin's last line uses.
      format: 'esm',
      ...{ legalComments: 'none', minify: true, keepNames: true, charset: 'utf8' },
      ...{ write: false, metafile: true, logLevel: 'silent' },
    })
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause)
    throw new PackageError('manifest-invalid', `Cannot bundle "${source}": ${words}`, { cause })
  }
  const [output] = result.outputFiles
  if (output === undefined)
    throw new PackageError('manifest-invalid', `Cannot bundle "${source}": nothing came out`)
  const head = node === undefined ? shellHead : `#!${node}\n`
  return {
    bytes: Buffer.concat([Buffer.from(head + requireLine), output.contents]),
    externals: Object.values(result.metafile.outputs).flatMap(({ imports }) =>
      imports.filter(({ external }) => external === true).map(({ path }) => path),
    ),
    packages: packagesIn(folder, Object.keys(result.metafile.inputs)),
  }
}

/** The part of esbuild that is used. */
interface Esbuild {
  build(options: Readonly<Record<string, unknown>>): Promise<{
    readonly outputFiles: readonly { readonly contents: Uint8Array }[]
    readonly metafile: {
      readonly inputs: Readonly<Record<string, unknown>>
      readonly outputs: Readonly<Record<string, BundleOutput>>
    }
  }>
}

interface BundleOutput {
  readonly imports: readonly { readonly path: string; readonly external?: boolean }[]
}

/** Found from the author's folder, so that the author decides on its version; a server never needs it. */
function authorsEsbuild(folder: string): Esbuild {
  for (const from of [join(folder, 'package.json'), import.meta.url]) {
    try {
      return createRequire(from)('esbuild') as Esbuild // its documented shape
    } catch {
      // The next place may have it.
    }
  }
  throw new PackageError(
    'manifest-invalid',
    'Cannot bundle: esbuild is not installed; run "npm install --save-dev esbuild"',
  )
}

/** The npm packages whose files went in, each once, sorted. */
function packagesIn(folder: string, inputs: readonly string[]): BundledDependency[] {
  const found = new Map<string, BundledDependency>()
  for (const input of inputs) {
    const at = manifestOf(join(folder, input))
    if (at === undefined || relative(folder, dirname(at)) === '') continue
    const { name, version, license } = JSON.parse(readFileSync(at, 'utf8')) as Record<string, unknown> // looked at below
    if (typeof name !== 'string' || typeof version !== 'string') continue
    found.set(`${name}@${version}`, {
      name,
      version,
      license: typeof license === 'string' ? license : 'NOASSERTION',
    })
  }
  return [...found.values()].sort((a, b) => (`${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1))
}

/** The nearest package.json that names a package. */
function manifestOf(file: string): string | undefined {
  const parts = dirname(file).split(sep)
  for (let length = parts.length; length > 1; length -= 1) {
    const candidate = [...parts.slice(0, length), 'package.json'].join(sep)
    if (existsSync(candidate) && readFileSync(candidate, 'utf8').includes('"name"')) return candidate
  }
  return undefined
}
