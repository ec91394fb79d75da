import type { Clock } from '../base/clock.ts'
import { SecretError } from '../base/errors.ts'
import type { KeyKeeper } from '../slots/kms/contract.ts'
import { createBuiltinKeeper, createSecretboxKeeper, type LocalKeeper } from './local-keepers.ts'
import {
  identityOf,
  isEmptySecret,
  plainStatus,
  redactedStatus,
  Secret,
  type StoredSecret,
} from './secret.ts'
import { createWarmValues } from './warm-values.ts'

/** Seals new secrets with the one configured keeper, and opens each secret with the keeper that sealed it. */
export interface Keepers {
  /** `additionalData` is bound to the secret: the user's name, `folder_NAME`, `group_NAME`. */
  seal(secret: Secret, additionalData: string): Promise<StoredSecret>
  /** Opens a secret; a plain one is given as it is. Throws a `SecretError` that names the keeper, never the secret. */
  open(stored: StoredSecret): Promise<Secret>
  /** Whether `stored` is sealed as a new secret would be now. */
  isCurrent(stored: StoredSecret): boolean
  /** What seals new secrets, for people: `local`, `builtin`, or a plugin's scheme. */
  readonly current: string
  /** Which keeper opens `stored`, for people: `local`, `builtin`, the plugin's entry, or the mark nobody knows. */
  nameOf(stored: StoredSecret): string
  /** Drops every opened key from memory. */
  forget(): void
}

/** A kms plugin, as configured. It may be down right now. */
export interface PluginKeeper {
  /** The configuration entry's name. */
  readonly name: string
  readonly scheme: string
  /** The status that marks secrets it sealed. */
  readonly status: string
  /** The plugin when it can be asked. */
  keeper(): KeyKeeper | undefined
}

/** How secrets are kept. */
export interface KeepersOptions {
  /** `kms.secrets.url`; empty means `local://`. */
  readonly url: string
  /** Empty: none. */
  readonly masterKey?: string
  /** Asked at each use: a reload may bring new ones. */
  readonly plugins?: () => readonly PluginKeeper[]
  /** How long an opened secret of a plugin stays in memory; 0: not at all. */
  readonly cacheTimeMs: number
  readonly clock?: Clock
}

/**
 * Joins the local keepers and the kms plugins. A `url` that nothing answers to fails what is sealed with it, and
 * nothing else: what other keepers sealed opens all the same.
 */
export function createKeepers(options: KeepersOptions): Keepers {
  const { url, masterKey = '', plugins = () => [], cacheTimeMs, clock } = options
  const secretbox = createSecretboxKeeper(masterKey)
  const builtin = createBuiltinKeeper()
  const locals: readonly LocalKeeper[] = [secretbox, builtin]
  const warm = createWarmValues<Secret>({ keepMs: cacheTimeMs, ...(clock && { clock }) })

  return {
    current: currentName(),
    nameOf({ status = '' }) {
      if (status === secretbox.status) return 'local'
      if (status === builtin.status) return 'builtin'
      return plugins().find((one) => one.status === status)?.name ?? status
    },
    async seal(secret, additionalData) {
      const current = currentKeeper()
      if (!('scheme' in current)) return current.seal(secret, additionalData)
      const request = { payload: secret.reveal(), additionalData, url, masterKey }
      const sealed = await asked(current, 'seal', (keeper) => keeper.seal(request))
      if (sealed.payload === '') throw nothingFrom(current)
      return {
        ...{ status: current.status, payload: sealed.payload, url },
        ...(sealed.key === '' ? {} : { key: sealed.key }),
        ...(additionalData === '' ? {} : { additional_data: additionalData }),
        ...(sealed.mode === 0 ? {} : { mode: sealed.mode }),
      }
    },
    open: async (stored) => {
      if (isEmptySecret(stored)) throw new SecretError('malformed', 'There is no secret to open')
      if (stored.status === plainStatus) return new Secret(stored.payload ?? '')
      if (stored.status === redactedStatus)
        throw new SecretError('malformed', 'A redacted secret stands for another and opens nothing')
      const local = locals.find(({ status }) => status === stored.status)
      if (local !== undefined) return local.open(stored)
      return warm.get(identityOf(stored), () => openWithPlugin(stored))
    },
    isCurrent(stored) {
      const current = findCurrent()
      if (current === undefined || stored.status !== current.status) return false
      if ('scheme' in current) return (stored.url ?? url) === url
      return current !== secretbox || (stored.mode ?? 0) === (masterKey === '' ? 0 : 1)
    },
    forget: () => warm.forget(),
  }

  function findCurrent(): LocalKeeper | PluginKeeper | undefined {
    if (url === '' || url.startsWith('local://')) return secretbox
    if (url.startsWith('builtin://')) return builtin
    return plugins().find(({ scheme }) => url.startsWith(`${scheme}:`))
  }

  function currentKeeper(): LocalKeeper | PluginKeeper {
    const found = findCurrent()
    if (found !== undefined) return found
    throw new SecretError(
      'keeper-missing',
      `No kms plugin is configured for the scheme "${currentName()}" of kms.secrets.url`,
    )
  }

  function currentName(): string {
    return url === '' ? 'local' : url.slice(0, Math.max(0, url.indexOf(':')))
  }

  async function openWithPlugin(stored: StoredSecret): Promise<Secret> {
    const { status = '', payload = '', key = '', additional_data: additionalData = '', mode = 0 } = stored
    const plugin = plugins().find((one) => one.status === status)
    if (plugin === undefined)
      throw new SecretError('keeper-missing', `No kms plugin is configured for secrets marked "${status}"`)
    const address = stored.url ?? (url.startsWith(`${plugin.scheme}:`) ? url : '')
    const request = { payload, key, additionalData, mode, url: address, masterKey }
    const opened = await asked(plugin, 'open', (keeper) => keeper.open(request))
    if (opened === '') throw nothingFrom(plugin)
    return new Secret(opened)
  }
}

/** Nothing is no secret: files encrypted with it would be readable by nobody once the keeper is well again. */
function nothingFrom({ name }: PluginKeeper): SecretError {
  return new SecretError('keeper-refused', `The kms plugin "${name}" gave back nothing`)
}

async function asked<T>(
  plugin: PluginKeeper,
  what: 'seal' | 'open',
  ask: (keeper: KeyKeeper) => Promise<T>,
): Promise<T> {
  const keeper = plugin.keeper()
  if (keeper === undefined)
    throw new SecretError('keeper-unavailable', `The kms plugin "${plugin.name}" does not run`)
  try {
    return await ask(keeper)
  } catch (cause) {
    throw new SecretError(failureCode(cause), `The kms plugin "${plugin.name}" could not ${what} a secret`, {
      cause,
    })
  }
}

/** The status of gRPC by which a plugin, or the way to it, says: not now. */
const unavailable = 14

/** A plugin that answered "no" has lost the key or never had it; one that did not answer may answer later. */
function failureCode(error: unknown): 'keeper-refused' | 'keeper-unavailable' {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'refused') return 'keeper-refused'
  if (code !== 'failed') return 'keeper-unavailable'
  const cause: unknown = error instanceof Error ? error.cause : undefined
  const said = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  return said === unavailable ? 'keeper-unavailable' : 'keeper-refused'
}
