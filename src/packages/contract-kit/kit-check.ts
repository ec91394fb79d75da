import type { CaseOutcome } from '../../slots/contract-case.ts'
import type { SlotName } from '../../slots/index.ts'
import type { PluginRun, RunRequest } from './plugin-run.ts'

/** One promise that a plugin keeps as a process, whatever its slot and its language. */
export interface KitCheck {
  /** The promise, as a sentence. */
  readonly promise: string
  /** Throws when it is broken. */
  run(kit: Kit): Promise<CaseOutcome>
}

/** What the checks work with. */
export interface Kit {
  readonly slot: SlotName
  readonly samples: Readonly<Record<string, unknown>>
  readonly budgets: KitBudgets
  readonly request: RunRequest
  /** A text that stands nowhere but in the secrets of questions. */
  readonly canary: string
  /** Secrets of the settings, which no output may show either. */
  readonly secrets: readonly string[]
  /** The process to ask: the one that is there, or a new one. */
  run(): Promise<PluginRun>
  /** A new process; the one before it is ended the hard way. */
  fresh(): Promise<PluginRun>
  /** The process that is there has left as it was told to. */
  forget(): void
  /** Everything written so far: all of it, and what came on standard error alone. */
  said(): { readonly all: Buffer; readonly log: Buffer }
  /** How the process of the last question ended; undefined while it runs. */
  fate(): string | undefined
}

/** What a plugin may take. */
export interface KitBudgets {
  /** From its start to its first answer. Default 10 s. */
  readonly startMs: number
  /** For one answer while nothing else is asked: 19 of 20 stay below. Default: half the deadline of its slot. */
  readonly answerMs: number
  /** From the request to leave to the end of the process. Default 2 s: hosts kill what stays longer. */
  readonly leaveMs: number
}
