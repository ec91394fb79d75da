import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/** Each folder of src and the folders it may import, lowest first. */
const layers = {
  base: [],
  gen: [],
  native: ['base'],
  wire: ['base', 'gen'],
  slots: ['base', 'gen', 'wire'],
  sdk: ['base', 'gen', 'wire', 'slots'],
  host: ['base', 'gen', 'native', 'wire', 'slots'],
  database: ['base', 'gen'],
  storage: ['base', 'gen', 'native'],
  secrets: ['base', 'gen', 'slots'],
  accounts: ['base', 'gen', 'slots', 'secrets', 'database'],
  events: ['base', 'gen', 'slots', 'database'],
  files: ['base', 'gen', 'storage', 'secrets', 'accounts', 'events'],
  sftp: ['base', 'gen', 'files'],
  ssh: ['base', 'gen', 'native', 'accounts', 'events', 'files', 'sftp'],
  config: ['base', 'gen', 'slots'],
  telemetry: ['base', 'gen'],
  packages: ['base', 'gen', 'slots', 'wire', 'host'],
  control: ['base', 'gen'],
  cluster: ['base', 'gen', 'secrets', 'accounts', 'events', 'files', 'ssh', 'config'],
  server: [
    ...['base', 'gen', 'native', 'slots', 'config', 'telemetry', 'host', 'database', 'storage', 'secrets'],
    ...['accounts', 'events', 'files', 'sftp', 'ssh', 'packages', 'control', 'cluster'],
  ],
  cli: [
    ...['base', 'gen', 'native', 'slots', 'config', 'host', 'packages', 'database', 'storage', 'secrets'],
    ...['accounts', 'events', 'files', 'sftp', 'control', 'server'],
  ],
} satisfies Record<string, readonly string[]>

type Folder = keyof typeof layers

/** The one folder that may import each library. */
const homes: Readonly<Record<string, readonly Folder[]>> = {
  // The stranger that `plugin test` brings along; what it does is done in wire/http2 (docs/decisions/055).
  '@grpc/grpc-js': ['wire'],
  'node:http2': [],
  'node-forge': ['wire'],
  // The generated code reads text leniently; wire hands it a strict reader.
  '@bufbuild/protobuf': ['gen', 'wire'],
  // The embedding program and the command line start processes of their own; only the host starts plugins.
  'node:child_process': ['host', 'cluster'],
  'node:cluster': ['cluster'],
  koffi: ['native'],
  'node:sqlite': ['database'],
  libsql: ['database'],
  ssh2: ['ssh'],
  '@noble/post-quantum': ['ssh'],
  '@noble/ciphers': ['secrets'],
  '@node-rs/argon2': ['accounts'],
  '@node-rs/bcrypt': ['accounts'],
  unixcrypt: ['accounts'],
  ajv: ['config'],
  'jsonc-parser': ['config'],
  yaml: ['config'],
  'smol-toml': ['config'],
  pino: ['telemetry'],
  'prom-client': ['telemetry'],
  tar: ['packages'],
  semver: ['packages'],
  commander: ['cli'],
}

/** From `slots` the file wing takes types only, so that `sftp-server` starts without gRPC. */
const typesOnlyFromSlots: readonly Folder[] = ['secrets', 'accounts', 'events']

const source = resolve(import.meta.dirname, '../src')

interface Import {
  readonly file: string
  readonly folder: string
  readonly specifier: string
  readonly typeOnly: boolean
  /** The folder of src it leads to, or undefined for a library. */
  readonly into: string | undefined
}

const imports = allImports()

describe('the map of the house', () => {
  it('lists the layers lowest first', () => {
    const names = Object.keys(layers)
    for (const [folder, below] of Object.entries(layers)) {
      for (const name of below) {
        expect(names.indexOf(name), `${folder} may import ${name}`).toBeGreaterThanOrEqual(0)
        expect(names.indexOf(name), `${name} stands above ${folder}`).toBeLessThan(names.indexOf(folder))
      }
    }
  })

  it('knows every folder of src', () => {
    const folders = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(folders.map((entry) => entry.name).filter((name) => !(name in layers))).toEqual([])
  })

  it('lets an import go only downwards', () => {
    expect(imports.length).toBeGreaterThan(10)
    const wrong = imports.filter(({ folder, into }) => {
      if (into === undefined || into === folder || !(folder in layers)) return false
      // A key of layers, as just checked.
      const below: readonly string[] = layers[folder as Folder]
      return !below.includes(into)
    })
    expect(wrong.map(describeImport)).toEqual([])
  })

  it('lets a library be imported only at home', () => {
    const wrong = imports.filter(({ folder, specifier, into }) => {
      if (into !== undefined) return false
      const home = Object.entries(homes).find(
        ([name]) => specifier === name || specifier.startsWith(`${name}/`),
      )
      return home !== undefined && !home[1].some((name) => name === folder)
    })
    expect(wrong.map(describeImport)).toEqual([])
  })

  it('gives every library a home', () => {
    const wrong = imports.filter(({ specifier, into }) => {
      if (into !== undefined || specifier.startsWith('node:')) return false
      return !Object.keys(homes).some((name) => specifier === name || specifier.startsWith(`${name}/`))
    })
    expect(wrong.map(describeImport)).toEqual([])
  })

  it('keeps the SDK free of everything above it', () => {
    const allowed = ['sdk', ...layers.sdk]
    const reached = reachableFrom(['sdk.ts', 'sdk-testing.ts'])
    const wrong = reached.filter((file) => file.includes('/') && !allowed.includes(file.split('/')[0] ?? ''))
    expect(wrong).toEqual([])
  })

  it('reaches the insides of ssh2 through one door only', () => {
    const inside = (file: string): boolean => file.startsWith('ssh/ssh2/')
    const wrong = imports.filter(({ file, specifier }) => {
      if (!specifier.startsWith('.') || inside(file)) return false
      const target = relative(source, resolve(dirname(join(source, file)), specifier))
      return inside(target) && target !== 'ssh/ssh2/open-library.ts'
    })
    expect(wrong.map(describeImport)).toEqual([])
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
    const naming = files.filter(
      (file) => file.endsWith('.ts') && /['"]ssh2(?:\/|['"])/.test(readFileSync(join(source, file), 'utf8')),
    )
    expect(naming).toEqual(['ssh/ssh2/load-privately.ts'])
  })

  it('makes folders in one way that always ends', () => {
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
      /\bmkdir(?:Sync)?\([^)]*recursive/.test(
        file.endsWith('.ts') ? readFileSync(join(source, file), 'utf8') : '',
      ),
    )
    expect(files, 'use makeFolders of base/make-folders.ts').toEqual([])
  })

  it('takes only types from the slots into the file wing', () => {
    const wrong = imports.filter(
      ({ folder, into, typeOnly }) =>
        into === 'slots' && !typeOnly && typesOnlyFromSlots.some((name) => name === folder),
    )
    expect(wrong.map(describeImport)).toEqual([])
  })
})

function describeImport({ file, specifier }: Import): string {
  return `${file} imports ${specifier}`
}

function allImports(): Import[] {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  return files.flatMap((file) => importsOf(file))
}

function importsOf(file: string): Import[] {
  // What a comment shows is no import.
  const text = readFileSync(join(source, file), 'utf8').replace(/^\s*(?:\*|\/\/|\/\*).*$/gm, '')
  const folder = file.includes('/') ? (file.split('/')[0] ?? '') : 'doors'
  const found: Import[] = []
  const statement =
    /^(?:import|export)\s+(type\s)?[^'"`;]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]/gm
  for (const match of text.matchAll(statement)) add(match[2] ?? match[3], match[1] !== undefined)
  for (const match of text.matchAll(/\b(?:import|require)\(\s*['"]([^'"]+)['"]\s*\)/g)) add(match[1], false)
  return found

  function add(specifier: string | undefined, typeOnly: boolean): void {
    if (specifier === undefined) return
    const into = specifier.startsWith('.')
      ? relative(source, resolve(dirname(join(source, file)), specifier)).split('/')[0]
      : undefined
    found.push({ file, folder, specifier, typeOnly, into })
  }
}

function reachableFrom(doors: readonly string[]): string[] {
  const seen = new Set<string>()
  const open = doors.filter((door) => readdirSync(source).includes(door))
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    for (const { specifier } of importsOf(file)) {
      if (specifier.startsWith('.'))
        open.push(relative(source, resolve(dirname(join(source, file)), specifier)))
    }
  }
  return [...seen]
}
