import { PluginError } from '../../base/errors.ts'
import type { SlotApi, SlotName } from '../../slots/index.ts'
import type { CallOptions } from '../../wire/service.ts'

/** A question that every plugin of a slot has to bear, with a secret in every place where a slot has one. */
export interface Question {
  /** Goes where passwords, answers and payloads go. */
  readonly secret: string
  /** The author's samples, unread so far. */
  readonly samples: Readonly<Record<string, unknown>>
  readonly call?: CallOptions
}

/** Asks the slot's usual question. What comes back depends on the slot; a missing method throws `unimplemented`, and so does a slot that the kit has no question for. */
export function askUsual(slot: SlotName, api: SlotApi<SlotName>, question: Question): Promise<unknown> {
  // The api is that of this very slot: `startRun` connected it by the same name.
  const ask = usual[slot] as ((api: SlotApi<SlotName>, question: Question) => Promise<unknown>) | undefined
  if (ask === undefined)
    return Promise.reject(new PluginError('unimplemented', `The kit has no question for slot "${slot}"`))
  return ask(api, question)
}

const usual: { readonly [N in SlotName]?: (api: SlotApi<N>, question: Question) => Promise<unknown> } = {
  auth: (api, { secret, samples, call }) =>
    api.checkPassword({ ...attempt(usernameIn(samples)), password: secret }, call),
  notifier: (api, { secret, call }) => api.notifyFile({ ...notice, path: `/${secret.slice(0, 4096)}` }, call),
  kms: (api, { secret, samples, call }) => api.seal({ ...sealing(samples), payload: secret }, call),
  ipfilter: (api, { secret, call }) =>
    api.check({ address: `192.0.2.9${secret.slice(64)}`, protocol: 'SSH' }, call),
}

/** The user that the author says can log in, else one that nobody has. */
export function usernameIn({ accepted }: Readonly<Record<string, unknown>>): string {
  const name: unknown = isObject(accepted) ? accepted['username'] : undefined
  return typeof name === 'string' ? name : 'nobody-has-this-name'
}

/** The password of the sample user; undefined without one. */
export function passwordIn({ accepted }: Readonly<Record<string, unknown>>): string | undefined {
  const password: unknown = isObject(accepted) ? accepted['password'] : undefined
  return typeof password === 'string' ? password : undefined
}

/** A login of somebody. */
export function attempt(username: string) {
  return { username, address: '192.0.2.1', protocol: 'SSH', user: { id: 0, username } }
}

/** What sealing needs beside the secret. */
export function sealing({ url, masterKey }: Readonly<Record<string, unknown>>) {
  return {
    additionalData: 'contract-kit',
    url: typeof url === 'string' ? url : '',
    masterKey: typeof masterKey === 'string' ? masterKey : '',
  }
}

/** A finished upload. */
export const notice = {
  ...{ timestamp: 1_000_000_000n, action: 'upload', username: 'contract-kit', storagePath: '/srv/file.bin' },
  ...{ storageTargetPath: '', sshCommand: '', size: 1_024n, protocol: 'SFTP', status: 1 },
  ...{ address: '192.0.2.1', path: '/file.bin', targetPath: '', sessionId: 'SFTP_contract_kit_1' },
  ...{ filesystemProvider: 0, bucket: '', endpoint: '', openFlags: 0, role: '', elapsedMs: 12n },
  metadata: { event_id: 'contract-kit' },
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
