import type { Backend } from './backend.ts'
import { createEncryptedBackend, type EncryptedBackendOptions } from './encrypted.ts'
import { openLocalBackend, type LocalBackendOptions } from './local.ts'
import { createMemoryBackend, type MemoryBackendOptions } from './memory.ts'

/** What each kind of backend is opened from. */
export interface BackendOptions {
  readonly local: LocalBackendOptions
  readonly memory: MemoryBackendOptions
  readonly encrypted: EncryptedBackendOptions
}

/** The name of a kind of backend. */
export type BackendKind = keyof BackendOptions

/** Every kind of backend there is. */
export const backends: { readonly [Kind in BackendKind]: (options: BackendOptions[Kind]) => Backend } = {
  local: openLocalBackend,
  memory: createMemoryBackend,
  encrypted: createEncryptedBackend,
}
