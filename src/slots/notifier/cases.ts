import { expectToEndWhenCancelled, oddTexts, unlessMissing, type ContractCase } from '../contract-case.ts'
import type { AskedNotifier, FileNotice, LogNotice, ProviderNotice } from './contract.ts'

/** Notifiers need no samples: every notice is welcome. */
export type NotifierSamples = Readonly<Record<string, never>>

/** The promises of a notifier. */
export const notifierCases: readonly ContractCase<AskedNotifier, NotifierSamples>[] = [
  {
    promise: 'takes a finished upload',
    run: (api) =>
      unlessMissing('notifyFile', async () => {
        await api.notifyFile(fileNotice({}))
      }),
  },
  {
    promise: 'takes every kind of file event, done or failed',
    run: (api) =>
      unlessMissing('notifyFile', async () => {
        for (const action of fileActions) {
          for (const status of [1, 2, 3]) await api.notifyFile(fileNotice({ action, status }))
        }
      }),
  },
  {
    promise: 'takes odd names',
    run: (api) =>
      unlessMissing('notifyFile', async () => {
        for (const text of oddTexts) {
          await api.notifyFile(
            fileNotice({ path: `/${text}`, storagePath: text, username: text.slice(0, 250) }),
          )
        }
      }),
  },
  {
    promise: 'takes the same event twice, as happens when an answer was lost',
    run: (api) =>
      unlessMissing('notifyFile', async () => {
        await api.notifyFile(fileNotice({}), { metadata: { event_id: 'contract-case' } })
        await api.notifyFile(fileNotice({}), { metadata: { event_id: 'contract-case' } })
      }),
  },
  {
    promise: 'takes sizes and times beyond what a double can count',
    run: (api) =>
      unlessMissing('notifyFile', async () => {
        await api.notifyFile(fileNotice({ size: (1n << 63n) - 1n, elapsedMs: 1n << 40n }))
        await api.notifyFile(fileNotice({ size: -1n, timestamp: 0n }))
      }),
  },
  {
    promise: 'takes two hundred events at once',
    run: (api) =>
      unlessMissing('notifyFile', async () => {
        const metadata = (index: number) => ({ event_id: `contract-case-${index}` })
        await Promise.all(
          Array.from({ length: 200 }, (_, index) =>
            api.notifyFile(fileNotice({ metadata: metadata(index) })),
          ),
        )
      }),
  },
  {
    promise: 'survives a notice that was given up',
    run: (api) =>
      unlessMissing('notifyFile', async () => {
        await expectToEndWhenCancelled((signal) => api.notifyFile(fileNotice({}), { signal }))
        await api.notifyFile(fileNotice({}))
      }),
  },
  {
    promise: 'takes changes of accounts',
    run: (api) =>
      unlessMissing('notifyProvider', async () => {
        for (const action of ['add', 'update', 'delete'])
          await api.notifyProvider({ ...providerNotice, action })
        await api.notifyProvider({ ...providerNotice, objectData: Buffer.alloc(0) })
      }),
  },
  {
    promise: 'takes logins and refused logins',
    run: (api) =>
      unlessMissing('notifyLog', async () => {
        for (const event of [1, 2, 3, 4, 5]) await api.notifyLog({ ...logNotice, event })
      }),
  },
]

const fileActions = [
  ...['download', 'upload', 'first-download', 'first-upload', 'delete', 'rename', 'mkdir', 'rmdir', 'copy'],
  ...['ssh_cmd', 'pre-download', 'pre-upload', 'pre-delete'],
]

function fileNotice(changes: Partial<FileNotice>): FileNotice {
  return {
    timestamp: BigInt(Date.now()) * 1_000_000n,
    action: 'upload',
    username: 'contract-case',
    storagePath: '/srv/contract-case/file.bin',
    storageTargetPath: '',
    sshCommand: '',
    size: 1_024n,
    protocol: 'SFTP',
    status: 1,
    address: '192.0.2.1',
    path: '/file.bin',
    targetPath: '',
    sessionId: 'SFTP_contract_case_1',
    filesystemProvider: 0,
    bucket: '',
    endpoint: '',
    openFlags: 0,
    role: '',
    elapsedMs: 12n,
    metadata: { event_id: 'contract-case' },
    ...changes,
  }
}

const providerNotice: ProviderNotice = {
  timestamp: 1_000_000_000n,
  action: 'add',
  objectType: 'user',
  username: '__system__',
  address: '192.0.2.1',
  objectName: 'contract-case',
  objectData: Buffer.from('{"username":"contract-case","status":1}'),
  role: '',
}

const logNotice: LogNotice = {
  timestamp: 1_000_000_000n,
  event: 5,
  username: 'contract-case',
  protocol: 'SSH',
  address: '192.0.2.1',
  message: '',
  role: '',
}
