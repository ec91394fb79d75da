import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PackageError } from '../../base/errors.ts'
import type { SlotName } from '../../slots/index.ts'
import { checkPackageName } from '../archive-name.ts'
import { commonFiles } from './common-files.ts'
import { goFiles } from './go-files.ts'
import { pythonFiles } from './python-files.ts'
import { typescriptFiles } from './typescript-files.ts'

/** The languages that a plugin can start in. */
export const scaffoldLanguages = ['typescript', 'go', 'python'] as const
export type ScaffoldLanguage = (typeof scaffoldLanguages)[number]

/** What a new plugin is to be. */
export interface ScaffoldOptions {
  readonly name: string
  readonly slot: SlotName
  readonly language: ScaffoldLanguage
  /** This program's version. */
  readonly version: string
  /** What `sftpgo-ts` is for the package manager: a range, or `file:` and a folder. */
  readonly dependency: string
}

/** Text files by their path. */
export type ScaffoldFiles = Readonly<Record<string, string>>

/** The files of a new plugin: at most twelve. */
export function scaffoldFiles(options: ScaffoldOptions): ScaffoldFiles {
  checkPackageName(options.name)
  const languages = { typescript: typescriptFiles, go: goFiles, python: pythonFiles }
  return { ...commonFiles(options), ...languages[options.language](options) }
}

/** Writes a new plugin into `folder`, which must be empty or missing. Returns the paths. */
export function writeScaffold(folder: string, files: ScaffoldFiles): readonly string[] {
  mkdirSync(folder, { recursive: true })
  if (readdirSync(folder).some((name) => name !== '.git')) {
    throw new PackageError(
      'version-exists',
      `"${folder}" is not empty: a new plugin wants a folder of its own`,
    )
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return Object.keys(files).sort()
}
