import { readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeFolders } from '../../base/make-folders.ts'
import { PackageError } from '../../base/errors.ts'
import { checkPackageName } from '../archive-name.ts'
import { commonFiles } from './common-files.ts'
import { goFiles } from './go-files.ts'
import { pythonFiles } from './python-files.ts'
import type { ScaffoldFiles, ScaffoldOptions } from './scaffold-options.ts'
import { typescriptFiles } from './typescript-files.ts'

/** The files of a new plugin: at most twelve. */
export function scaffoldFiles(options: ScaffoldOptions): ScaffoldFiles {
  checkPackageName(options.name)
  const languages = { typescript: typescriptFiles, go: goFiles, python: pythonFiles }
  return { ...commonFiles(options), ...languages[options.language](options) }
}

/** Writes a new plugin into `folder`, which must be empty or missing. Returns the paths. */
export function writeScaffold(folder: string, files: ScaffoldFiles): readonly string[] {
  makeFolders(folder)
  if (readdirSync(folder).some((name) => name !== '.git')) {
    throw new PackageError('in-use', `"${folder}" is not empty: a new plugin wants a folder of its own`)
  }
  for (const [path, text] of Object.entries(files)) {
    makeFolders(dirname(join(folder, path)))
    writeFileSync(join(folder, path), text)
  }
  return Object.keys(files).sort()
}
