import { SecretError } from '../base/errors.ts'
import type { Keepers } from './keepers.ts'
import { Secret, type StoredSecret } from './secret.ts'

/** One secret that is stored somewhere. */
export interface HeldSecret {
  /** Where it stands, for people and for resuming: `user/ada/filesystem.cryptconfig.passphrase`. Unique. */
  readonly place: string
  readonly stored: StoredSecret
  /** What a new sealing is bound to where the stored one is bound to nothing, as one in clear is. */
  readonly binding?: string
  /** Puts the new form in place of exactly the old one; false when it was changed meanwhile. Left out: it is kept where nothing is changed. */
  replace?(next: StoredSecret): Promise<boolean>
}

/** How far a rotation is. */
export interface RotationProgress {
  readonly done: number
  readonly total: number
  readonly place: string
  /** Why this one stayed as it was. */
  readonly error?: SecretError
}

/** What a rotation did. */
export interface RotationReport {
  readonly rotated: number
  /** Sealed by the current keeper already, as far as a new round was not asked for. */
  readonly kept: number
  /** Left as they were because nothing is changed where they stand. */
  readonly readOnly: readonly string[]
  readonly failed: readonly FailedSecret[]
  /** True when it ended early: it was told to, or the keeper did not answer again and again. */
  readonly cut: boolean
}

/** A secret with what is wrong about it. */
export interface FailedSecret {
  readonly place: string
  readonly error: SecretError
}

/** What a rotation works with. */
export interface RotationOptions {
  readonly keepers: Keepers
  readonly secrets: readonly HeldSecret[]
  /** Seal anew also what the current keeper sealed, for a key that got a new version at its provider. */
  readonly all?: boolean
  /** With `all`: continue after this place, where an earlier round was cut. */
  readonly after?: string
  /** Places up to `after` that failed then and are tried again. */
  readonly again?: readonly string[]
  readonly signal?: AbortSignal
  /** Told after each secret; what it keeps lets a cut round go on. */
  readonly onProgress?: (progress: RotationProgress) => Promise<void> | void
}

/** So many questions without an answer, one after the other, end a round: the rest would only wait as long. */
const mostUnanswered = 5

/**
 * Seals every stored secret with the current keeper. Contents of files stay as they are: what is sealed anew is the
 * secret that their keys hang on. One that fails is reported and left as it was; cut at any point, nothing is lost.
 */
export async function rotateSecrets(options: RotationOptions): Promise<RotationReport> {
  const { keepers, secrets, all = false, after = '', again = [], signal, onProgress } = options
  const sorted = [...secrets]
    .filter(({ place }) => place > after || again.includes(place))
    .sort((a, b) => (a.place < b.place ? -1 : 1))
  const report = { rotated: 0, kept: 0, readOnly: [] as string[], failed: [] as FailedSecret[] }
  let unanswered = 0
  for (const [index, held] of sorted.entries()) {
    if (signal?.aborted === true || unanswered >= mostUnanswered) return { ...report, cut: true }
    const { place } = held
    const result = await rotateHeld(held, keepers, all)
    if (result === 'rotated' || result === 'kept') report[result] += 1
    else if (result === 'read-only') report.readOnly.push(place)
    else report.failed.push({ place, error: result })
    const error = result instanceof SecretError ? result : undefined
    unanswered = error?.code === 'keeper-unavailable' ? unanswered + 1 : 0
    await onProgress?.({ done: index + 1, total: sorted.length, place, ...(error && { error }) })
  }
  return { ...report, cut: false }
}

async function rotateHeld(
  held: HeldSecret,
  keepers: Keepers,
  all: boolean,
): Promise<'rotated' | 'kept' | 'read-only' | SecretError> {
  if (!all && keepers.isCurrent(held.stored)) return 'kept'
  if (held.replace === undefined) return 'read-only'
  try {
    const opened = await keepers.open(held.stored)
    const next = await keepers.seal(opened, held.stored.additional_data ?? held.binding ?? '')
    // What cannot be opened again must not take the place of what can.
    if ((await keepers.open(next)).reveal() !== opened.reveal())
      throw new SecretError('keeper-refused', 'The keeper gives back another secret than it was given')
    if (await held.replace(next)) return 'rotated'
    return new SecretError('malformed', 'The secret was changed meanwhile')
  } catch (error) {
    return error instanceof SecretError
      ? error
      : new SecretError('keeper-unavailable', 'The secret could not be sealed anew', { cause: error })
  }
}

/** What a rehearsal found. */
export interface RehearsalReport {
  readonly opened: number
  readonly failed: readonly FailedSecret[]
  /** Whether the current keeper opens what it seals, and a second sealing too. */
  readonly current: { readonly keeper: string; readonly error?: SecretError }
}

/** Opens every stored secret and goes once through seal, open and rotate with a secret of its own. Changes nothing. */
export async function rehearseSecrets(
  keepers: Keepers,
  secrets: readonly HeldSecret[],
): Promise<RehearsalReport> {
  keepers.forget()
  const failed: FailedSecret[] = []
  for (const { place, stored } of secrets) {
    const error = await errorOf(keepers.open(stored))
    if (error !== undefined) failed.push({ place, error })
  }
  const error = await errorOf(roundTrip(keepers))
  const current = { keeper: keepers.current, ...(error === undefined ? {} : { error }) }
  return { opened: secrets.length - failed.length, failed, current }
}

async function roundTrip(keepers: Keepers): Promise<void> {
  const sample = new Secret(`rehearsal ${Date.now()}`)
  const once = await keepers.open(await keepers.seal(sample, 'rehearsal'))
  const twice = await keepers.open(await keepers.seal(once, 'rehearsal'))
  if (twice.reveal() !== sample.reveal())
    throw new SecretError('keeper-refused', 'The keeper gives back another secret than it was given')
}

async function errorOf(work: Promise<unknown>): Promise<SecretError | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    return error instanceof SecretError
      ? error
      : new SecretError('keeper-unavailable', 'The keeper failed', { cause: error })
  }
}
