import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { isBuiltin } from 'node:module'
import { messageOf } from '../base/errors.ts'
import { bundlePlugin } from './bundle.ts'
import { parsePackageManifest, type PackageManifest } from './package-manifest.ts'

/** Something about a plugin's folder that is wrong, or that its users would miss. */
export interface LintFinding {
  readonly severity: 'error' | 'warning'
  readonly file: string
  readonly message: string
}

/** Looks at a plugin's folder without running the plugin. Never throws for what is in it. */
export async function lintPlugin(folder: string): Promise<readonly LintFinding[]> {
  let manifest: PackageManifest
  let written: Readonly<Record<string, unknown>>
  try {
    const text = readFileSync(join(folder, 'plugin.json'), 'utf8')
    manifest = parsePackageManifest(text)
    written = JSON.parse(text) as Readonly<Record<string, unknown>> // an object, as just parsed
  } catch (cause) {
    return [error('plugin.json', messageOf(cause))]
  }
  return [
    ...manifestFindings(manifest),
    ...schemaFindings(folder, manifest),
    ...(await programFindings(folder, written)),
    ...environmentFindings(folder, manifest),
  ]
}

function manifestFindings({ description, engine, permissions }: PackageManifest): LintFinding[] {
  const odd = permissions.environment.filter((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
  return [
    ...odd.map((name) =>
      error('plugin.json', `"permissions"."environment" names "${name}", which is no variable`),
    ),
    ...(description === ''
      ? [warning('plugin.json', '"description" is missing: people see it before they install')]
      : []),
    ...(engine === undefined
      ? [warning('plugin.json', '"engines"."sftpgo-ts" is missing: it installs into any server')]
      : []),
  ]
}

/** Names that hold secrets wherever they stand. */
const secretName = /pass(?:word|phrase|wd)|secret|token|api_?key|private_?key|credential/i

function schemaFindings(folder: string, { settings: file }: PackageManifest): LintFinding[] {
  if (file === undefined) return []
  try {
    return settingFindings(file, JSON.parse(readFileSync(join(folder, file), 'utf8')), [])
  } catch (cause) {
    return [error(file, messageOf(cause))]
  }
}

function settingFindings(file: string, schema: unknown, path: readonly string[]): LintFinding[] {
  if (!isObject(schema)) return [error(file, `"${path.join('.')}" is no schema`)]
  const properties = schema['properties']
  const own = path.length === 0 ? [] : oneSetting(file, schema, path)
  if (!isObject(properties)) return own
  return [
    ...own,
    ...Object.entries(properties).flatMap(([key, child]) => settingFindings(file, child, [...path, key])),
  ]
}

function oneSetting(
  file: string,
  schema: Readonly<Record<string, unknown>>,
  path: readonly string[],
): LintFinding[] {
  const name = path.join('.')
  const marked = schema['x-secret'] === true || schema['writeOnly'] === true
  const looksSecret = secretName.test(path.at(-1) ?? '') && schema['type'] === 'string'
  return [
    ...(looksSecret && !marked
      ? [
          error(
            file,
            `"${name}" looks like a secret: mark it with "x-secret": true, and only references are taken`,
          ),
        ]
      : []),
    ...(marked && ['default', 'const', 'enum', 'examples'].some((key) => key in schema)
      ? [
          error(
            file,
            `"${name}" is a secret that stands in the schema itself: take its default or example out`,
          ),
        ]
      : []),
    ...(typeof schema['description'] === 'string' ? [] : [warning(file, `"${name}" has no description`)]),
  ]
}

async function programFindings(
  folder: string,
  written: Readonly<Record<string, unknown>>,
): Promise<LintFinding[]> {
  const { source, entry, build, interpreter } = written
  if (interpreter !== undefined && (typeof interpreter !== 'string' || !interpreter.startsWith('/')))
    return [error('plugin.json', '"interpreter" is no absolute path')]
  if (typeof source !== 'string') {
    const files = typeof entry === 'string' ? [entry] : isObject(entry) ? Object.values(entry) : []
    if (files.length === 0) return [error('plugin.json', '"entry" names no file')]
    const missing = files.filter((file) => typeof file !== 'string' || !existsSync(join(folder, file)))
    return build === undefined
      ? missing.map((file) => error('plugin.json', `"entry" names "${String(file)}", which is not there`))
      : []
  }
  try {
    const { externals } = await bundlePlugin({ folder, source })
    return externals
      .filter((name) => !isBuiltin(name))
      .map((name) =>
        error(source, `"${name}" stays outside of the bundle, and is not there where the plugin runs`),
      )
  } catch (cause) {
    return [error(source, messageOf(cause))]
  }
}

const readsVariable =
  /process\.env(?:\.([A-Z_][A-Z0-9_]*)|\[['"]([A-Z_][A-Z0-9_]*)['"]\])|os\.(?:Getenv|LookupEnv|getenv|environ\.get)\(['"]([A-Z_][A-Z0-9_]*)['"]|os\.environ\[['"]([A-Z_][A-Z0-9_]*)['"]\]/g

/** What every host sets itself. */
const ofTheProtocol = /^(?:PLUGIN_|SFTPGO_PLUGIN_|SFTPGO_TS_PLUGIN_SETTINGS$)/

function environmentFindings(folder: string, { permissions }: PackageManifest): LintFinding[] {
  const findings: LintFinding[] = []
  for (const file of sourcesOf(folder)) {
    for (const match of readFileSync(join(folder, file), 'utf8').matchAll(readsVariable)) {
      const name = match.slice(1).find((group) => group !== undefined) ?? ''
      if (ofTheProtocol.test(name) || permissions.environment.includes(name)) continue
      findings.push(
        error(
          file,
          `It reads the variable ${name}, which "permissions"."environment" does not name: it will be unset`,
        ),
      )
    }
  }
  return findings
}

const notSource = new Set(['node_modules', 'dist', 'bin', '.git', 'test', '__pycache__', '.venv'])

function sourcesOf(folder: string, below = ''): string[] {
  return readdirSync(join(folder, below), { withFileTypes: true }).flatMap((entry) => {
    const path = below === '' ? entry.name : `${below}/${entry.name}`
    if (entry.isDirectory()) return notSource.has(entry.name) ? [] : sourcesOf(folder, path)
    return ['.ts', '.js', '.mjs', '.go', '.py'].includes(extname(entry.name)) ? [path] : []
  })
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function error(file: string, message: string): LintFinding {
  return { severity: 'error', file, message }
}

function warning(file: string, message: string): LintFinding {
  return { severity: 'warning', file, message }
}
