import { PluginError } from '../base/errors.ts'
import { textOf } from '../wire/status.ts'
import type { Refusal } from './call.ts'
import type { Reading } from './slot.ts'

/**
 * Asks a plugin whose "no" is an answer. Undefined when it agreed; throws when it could not answer. UNKNOWN refuses
 * this once, without certainty, unless the reading says which of the two it is.
 */
export async function refusalOrValue<T>(ask: Promise<T>, reading: Reading): Promise<Answer<T>> {
  try {
    return { value: await ask }
  } catch (error) {
    if (!(error instanceof PluginError)) throw error
    if (error.code === 'refused') return { refusal: { reason: textOf(error), certain: true } }
    if (error.code !== 'refused-or-failed') throw error
    if (reading.unknownStatus === 'failure') throw asFailure(error)
    if (reading.unknownStatus === 'refusal') return { refusal: { reason: textOf(error), certain: true } }
    return { refusal: { reason: `Refused or failed: ${textOf(error)}`, certain: false } }
  }
}

/** What a plugin said: an answer, or no. */
export type Answer<T> =
  { readonly value: T; readonly refusal?: never } | { readonly refusal: Refusal; readonly value?: never }

/** Asks a plugin that has nothing to refuse: UNKNOWN is a failure like any other. */
export async function valueOrFailure<T>(ask: Promise<T>): Promise<T> {
  try {
    return await ask
  } catch (error) {
    throw error instanceof PluginError && error.code === 'refused-or-failed' ? asFailure(error) : error
  }
}

/** What a plugin's handler throws to say no: hosts read it from the status. */
export function refusalError({ reason, certain }: Partial<Refusal>): PluginError {
  return new PluginError(certain === false ? 'refused-or-failed' : 'refused', reason ?? 'Refused')
}

/** What a plugin's handler throws when the author's object lacks the method. */
export function missing(method: string): PluginError {
  return new PluginError('unimplemented', `This plugin has no "${method}"`)
}

function asFailure(error: PluginError): PluginError {
  return new PluginError('failed', error.message, { cause: error.cause })
}
