import { completeUser, surroundingsOf } from '../accounts/complete-user.ts'
import { heldSecrets } from '../accounts/held-secrets.ts'
import type { UserStore } from '../accounts/user-store.ts'
import { FileError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Config } from '../config/load-config.ts'
import type { ControlCall, ControlOperations } from '../control/control-server.ts'
import type { Keepers } from '../secrets/keepers.ts'
import {
  type FailedSecret,
  type RotationProgress,
  rehearseSecrets,
  rotateSecrets,
} from '../secrets/rotation.ts'
import { Secret } from '../secrets/secret.ts'
import { userKeyOf } from '../storage/user-key.ts'
import { accountSettings } from './account-settings.ts'
import type { EncryptedPlaces } from './encrypted-places.ts'
import { type RewrapReport, rewrapPlace } from './rewrap-place.ts'
import { rotationProgressFile } from './rotation-progress.ts'
import { type SampleReport, type SampledPlace, sampleFiles } from './sample-files.ts'
import { stateLayout } from './state-layout.ts'

/** A secret that failed, in the form that leaves the process. */
export interface SecretFailure {
  readonly place: string
  readonly code: string
  readonly message: string
}

/** What `kms rotate` came to. */
export interface RotationOutcome {
  readonly keeper: string
  readonly rotated: number
  readonly kept: number
  readonly readOnly: readonly string[]
  readonly failed: readonly SecretFailure[]
  /** The place after which an earlier round was taken up; empty for a new one. */
  readonly resumedAfter: string
  readonly finished: boolean
}

/** What `kms rehearse` found. */
export interface RehearsalOutcome {
  readonly ok: boolean
  readonly keeper: string
  /** Why the current keeper cannot seal, open and seal again; left out when it can. */
  readonly keeperProblem?: { readonly code: string; readonly message: string }
  readonly opened: number
  readonly failed: readonly SecretFailure[]
  readonly sample: SampleReport
}

/** What `kms rewrap` came to. */
export interface RewrapOutcome extends RewrapReport {
  /** `user/ada`, `folder/shared`. */
  readonly owner: string
}

/** One item of what the rounds tell: how far they are, and last what they came to. */
export type KmsItem =
  | { readonly progress: { readonly done: number; readonly total: number; readonly place: string } }
  /** How many files of a place are done; nobody has counted them before. */
  | { readonly files: number }
  | { readonly rewrap: RewrapOutcome }
  | { readonly rotation: RotationOutcome }
  | { readonly rehearsal: RehearsalOutcome }

/** What the operations work with. */
export interface KmsOperationsOptions {
  readonly config: () => Config
  readonly store: UserStore
  readonly keepers: Keepers
  readonly encrypted: EncryptedPlaces
  readonly log: Logger
}

/** `kms rotate`, `kms rehearse` and `kms rewrap`, of which one runs at a time. They answer with a stream of `KmsItem`. */
export function createKmsOperations(options: KmsOperationsOptions): ControlOperations {
  let running = false
  const alone =
    (work: (input: Readonly<Record<string, unknown>>, call: KmsCall) => Promise<KmsItem>) =>
    async (input: unknown, call: ControlCall): Promise<void> => {
      if (running) throw new FileError('busy', 'Another round over the secrets runs already')
      running = true
      try {
        await call.send(await work(recordOf(input), call))
      } finally {
        running = false
      }
    }
  return {
    'kms rotate': alone((input, call) => rotate(options, input['all'] === true, call)),
    'kms rehearse': alone((input) => rehearse(options, Number(input['files'] ?? 5))),
    'kms rewrap': alone((input, call) =>
      rewrap(options, { owner: textOf(input, 'owner'), earlier: new Secret(textOf(input, 'earlier')) }, call),
    ),
  }
}

type KmsCall = Pick<ControlCall, 'signal'> & { send(item: KmsItem): Promise<void> }

async function rotate(
  { config, store, keepers, log }: KmsOperationsOptions,
  all: boolean,
  call: KmsCall,
): Promise<KmsItem> {
  const { url } = config().settings.kms.secrets
  const file = rotationProgressFile(stateLayout(config()).rotation)
  const mark = all ? file.read(url) : undefined
  let after = mark?.after ?? ''
  const failed = new Set(mark?.failed)
  const note = ({ place, error }: RotationProgress): void => {
    if (error === undefined) failed.delete(place)
    else failed.add(place)
    if (place > after) after = place
    // Without `all` what is sealed says itself that it is done.
    if (all) file.write({ url, after, failed: [...failed] })
  }
  const report = await rotateSecrets({
    ...{ keepers, secrets: heldSecrets(store), all, signal: call.signal },
    ...(mark !== undefined && { after: mark.after, again: mark.failed }),
    async onProgress(progress) {
      note(progress)
      const { done, total, place, error } = progress
      if (error !== undefined) log.error('secret not sealed anew', { ...failureOf({ place, error }) })
      if (!call.signal.aborted) await call.send({ progress: { done, total, place } })
    },
  })
  if (all && !report.cut) file.clear()
  const { rotated, kept, readOnly, cut } = report
  log.info('secrets sealed anew', { keeper: keepers.current, rotated, kept, failed: report.failed.length })
  return {
    rotation: {
      ...{ keeper: keepers.current, rotated, kept, readOnly, failed: report.failed.map(failureOf) },
      ...{ resumedAfter: mark?.after ?? '', finished: !cut },
    },
  }
}

async function rehearse(options: KmsOperationsOptions, perPlace: number): Promise<KmsItem> {
  const { store, keepers, encrypted } = options
  const { opened, failed, current } = await rehearseSecrets(keepers, heldSecrets(store))
  const sample = await sampleFiles(encryptedPlacesOf(options), { encrypted, perPlace })
  const { error } = current
  return {
    rehearsal: {
      ok: failed.length === 0 && sample.failed.length === 0 && error === undefined,
      keeper: current.keeper,
      ...(error !== undefined && { keeperProblem: { code: error.code, message: error.message } }),
      ...{ opened, failed: failed.map(failureOf), sample },
    },
  }
}

/** Gives the files of one place, encrypted with an earlier passphrase, to the one that is stored now. */
async function rewrap(
  options: KmsOperationsOptions,
  { owner, earlier }: { readonly owner: string; readonly earlier: Secret },
  call: KmsCall,
): Promise<KmsItem> {
  const place = encryptedPlacesOf(options).find((one) => one.owner === owner)
  if (place === undefined) throw new FileError('not-found', `"${owner}" is no encrypted place`)
  const now = await options.keepers.open(place.filesystem.cryptconfig?.passphrase ?? {})
  const keyOf = async (secret: Secret): Promise<Buffer> => userKeyOf(Buffer.from(secret.reveal()))
  const report = await rewrapPlace({
    ...{ owner, root: place.root, change: { from: [await keyOf(earlier)], to: await keyOf(now) } },
    signal: call.signal,
    async onProgress(files) {
      if (!call.signal.aborted) await call.send({ files })
    },
  })
  const { rewrapped, already, failed, moreFailed, finished } = report
  const fields = { owner, rewrapped, already, failed: failed.length + moreFailed, finished }
  options.log.info('files given to another passphrase', fields)
  return { rewrap: { owner, ...report } }
}

function encryptedPlacesOf({ config, store }: KmsOperationsOptions): SampledPlace[] {
  const { login } = accountSettings(config())
  const around = surroundingsOf(store)
  const ofUsers = store.listUsers({ limit: 1_000_000 }).flatMap((stored) => {
    const completed = completeUser(stored, around, login)
    const { username, home_dir: root, filesystem } = 'user' in completed ? completed.user : stored
    return [{ owner: `user/${username}`, root, filesystem }]
  })
  const ofFolders = store.listFolders().map(({ name, mapped_path: root = '', filesystem }) => ({
    ...{ owner: `folder/${name}`, root, filesystem: filesystem ?? { provider: 0 } },
  }))
  return [...ofUsers, ...ofFolders].filter(({ root, filesystem }) => root !== '' && filesystem.provider === 4)
}

function failureOf({ place, error }: FailedSecret): SecretFailure {
  return { place, code: error.code, message: error.message }
}

function textOf(input: Readonly<Record<string, unknown>>, field: string): string {
  const value = input[field]
  if (typeof value !== 'string' || value === '') throw new FileError('bad-message', `"${field}" is missing`)
  return value
}

function recordOf(input: unknown): Readonly<Record<string, unknown>> {
  // Its fields stay unknown; whoever reads them checks them.
  return typeof input === 'object' && input !== null ? (input as Readonly<Record<string, unknown>>) : {}
}
