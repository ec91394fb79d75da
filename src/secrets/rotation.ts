import { SecretError } from '../base/errors.ts'
import type { Keepers } from './keepers.ts'
import { Secret, type StoredSecret } from './secret.ts'

/** One secret that is stored somewhere. */
export interface HeldSecret {
  /** Where it stands, for people and for resuming: `user/ada/filesystem.cryptconfig.passphrase`. Sorted, unique. */
  readonly place: string
  readonly stored: StoredSecret
  /** Puts the new form in place of exactly the old one; false when it was changed meanwhile. */
  replace(next: StoredSecret): Promise<boolean>
}

/** How far a rotation is. */
export interface RotationProgress {
  readonly done: number
  readonly total: number
  readonly place: string
}

/** What a rotation did. */
export interface RotationReport {
  readonly rotated: number
  /** Sealed by the current keeper already, as far as a new round was not asked for. */
  readonly kept: number
  readonly failed: readonly { readonly place: string; readonly error: SecretError }[]
}

/** What a rotation works with. */
export interface RotationOptions {
  readonly keepers: Keepers
  readonly secrets: readonly HeldSecret[]
  /** Seal anew also what the current keeper sealed, for a key that got a new version at its provider. */
  readonly all?: boolean
  /** With `all`: continue after this place, where an earlier round was cut. */
  readonly after?: string
  /** Told after each secret; what it keeps lets a cut round go on. */
  readonly onProgress?: (progress: RotationProgress) => Promise<void> | void
}

/**
 * Seals every stored secret with the current keeper. Contents of files stay as they are: what is sealed anew is the
 * secret that their keys hang on. One that fails is reported and left as it was; cut at any point, nothing is lost.
 */
export async function rotateSecrets({
  keepers,
  secrets,
  all = false,
  after = '',
  onProgress,
}: RotationOptions): Promise<RotationReport> {
  const sorted = [...secrets]
    .sort((a, b) => (a.place < b.place ? -1 : 1))
    .filter(({ place }) => place > after)
  const failed: { place: string; error: SecretError }[] = []
  let rotated = 0
  let kept = 0
  for (const [index, held] of sorted.entries()) {
    if (!all && keepers.isCurrent(held.stored)) kept += 1
    else {
      const error = await rotateOne(held, keepers)
      if (error === undefined) rotated += 1
      else failed.push({ place: held.place, error })
    }
    await onProgress?.({ done: index + 1, total: sorted.length, place: held.place })
  }
  return { rotated, kept, failed }
}

async function rotateOne(held: HeldSecret, keepers: Keepers): Promise<SecretError | undefined> {
  try {
    const opened = await keepers.open(held.stored)
    const next = await keepers.seal(opened, held.stored.additional_data ?? '')
    // What cannot be opened again must not take the place of what can.
    if ((await keepers.open(next)).reveal() !== opened.reveal())
      throw new SecretError('keeper-refused', 'The keeper gives back another secret than it was given')
    if (await held.replace(next)) return undefined
    throw new SecretError('malformed', 'The secret was changed meanwhile')
  } catch (error) {
    return error instanceof SecretError
      ? error
      : new SecretError('keeper-unavailable', 'The secret could not be sealed anew', { cause: error })
  }
}

/** What a rehearsal found. */
export interface RehearsalReport {
  readonly opened: number
  readonly failed: readonly { readonly place: string; readonly error: SecretError }[]
  /** Whether the current keeper opens what it seals, and a second sealing too. */
  readonly current: { readonly keeper: string; readonly error?: SecretError }
}

/** Opens every stored secret and goes once through seal, open and rotate with a secret of its own. Changes nothing. */
export async function rehearseSecrets(
  keepers: Keepers,
  secrets: readonly HeldSecret[],
): Promise<RehearsalReport> {
  keepers.forget()
  const failed: { place: string; error: SecretError }[] = []
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
