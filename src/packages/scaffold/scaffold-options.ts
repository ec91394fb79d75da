import type { SlotName } from '../../slots/index.ts'

/** The slots that a new plugin can be begun for: those whose first lines are kept here. */
export const scaffoldSlots = ['auth', 'notifier', 'kms', 'ipfilter'] as const satisfies readonly SlotName[]
export type ScaffoldSlot = (typeof scaffoldSlots)[number]

/** The languages that a plugin can start in. */
export const scaffoldLanguages = ['typescript', 'go', 'python'] as const
export type ScaffoldLanguage = (typeof scaffoldLanguages)[number]

/** What people also call them. */
export const languageNicknames: Readonly<Record<string, ScaffoldLanguage>> = {
  ts: 'typescript',
  golang: 'go',
  py: 'python',
  python3: 'python',
}

/** What a new plugin is to be. */
export interface ScaffoldOptions {
  readonly name: string
  readonly slot: ScaffoldSlot
  readonly language: ScaffoldLanguage
  /** This program's version. */
  readonly version: string
  /** What `sftpgo-ts` is for the package manager: a range, or `file:` and a path of this machine. */
  readonly dependency: string
}

/** Text files by their path. */
export type ScaffoldFiles = Readonly<Record<string, string>>
