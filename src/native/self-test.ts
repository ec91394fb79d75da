import { native, type Native } from './library.ts'
import { findConfinement } from './open-directory.ts'
import { nativePacketCiphers } from './packet-ciphers.ts'
import { createSealableFile } from './sealed-file.ts'

/** One thing that native code does here, or what takes its place and why. */
export interface NativeAbility {
  readonly ability: 'calls into C' | 'homes confined by the kernel' | 'packet ciphers' | 'sealed memory files'
  readonly works: boolean
  /** Where it does not work: the reason and what is used instead, as one sentence. */
  readonly detail: string
}

/** Tries every native ability once and says what works on this machine: for `doctor` and the start log. */
export function selfTest(code: Native = native()): readonly NativeAbility[] {
  return [
    said('calls into C', code.works ? undefined : code.reason, 'everything takes its portable way'),
    said('homes confined by the kernel', confinementFailure(code), 'paths are walked step by step'),
    said('packet ciphers', cipherFailure(code), 'packets are encrypted by the slower way of Node'),
    said('sealed memory files', sealFailure(code), 'plugins run from a private copy'),
  ]
}

function said(
  ability: NativeAbility['ability'],
  failure: string | undefined,
  instead: string,
): NativeAbility {
  if (failure === undefined) return { ability, works: true, detail: '' }
  return { ability, works: false, detail: `Not here (${failure}): ${instead}` }
}

function confinementFailure(code: Native): string | undefined {
  const found = findConfinement(code)
  return found.works ? undefined : found.reason
}

function cipherFailure(code: Native): string | undefined {
  if (!code.works) return code.reason
  return nativePacketCiphers(code) === undefined ? 'no OpenSSL with the functions needed' : undefined
}

function sealFailure(code: Native): string | undefined {
  const made = createSealableFile('self-test', code)
  if (!made.works) return made.reason
  made.file.close()
  return undefined
}
