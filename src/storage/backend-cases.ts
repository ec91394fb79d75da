import type { BackendCase } from './cases/backend-case.ts'
import { attributeCases } from './cases/attribute-cases.ts'
import { directoryCases } from './cases/directory-cases.ts'
import { fileCases } from './cases/file-cases.ts'
import { linkCases } from './cases/link-cases.ts'
import { nameCases } from './cases/name-cases.ts'

/** The contract of `Backend` as runnable cases, each for an empty backend of its own. */
export const backendCases: readonly BackendCase[] = [
  ...fileCases,
  ...attributeCases,
  ...directoryCases,
  ...nameCases,
  ...linkCases,
]
