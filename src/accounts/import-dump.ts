import type { AccountChanges, Actor } from './account-changes.ts'
import { AccountError } from './account-error.ts'
import { completeUser, surroundingsOf, type CompletionOptions } from './complete-user.ts'
import { parseDump, type Dump } from './dump.ts'
import type { AddressManager } from './manage-addresses.ts'
import { parsePasswordHash } from './password-hash.ts'
import { withoutPassphrase } from './plugin-question.ts'
import { sealFilesystem } from './seal-secrets.ts'
import type { SecretBox } from './secret-box.ts'
import type { FilesystemConfig, Folder, Group, User } from './user.ts'
import type { UserStore } from './user-store.ts'

/** What became of a dump. */
export interface ImportReport {
  readonly users: readonly ImportedUser[]
  readonly groups: readonly string[]
  readonly folders: readonly string[]
  readonly addressRules: number
  /** Sections and entries that have no counterpart here. */
  readonly notCarriedOver: readonly string[]
}

/** What became of one user. */
export interface ImportedUser {
  readonly username: string
  readonly result: 'added' | 'updated' | 'kept' | 'skipped'
  /** Why it was skipped. */
  readonly problems: readonly string[]
  /** Fields that are not supported here, and keys that are not accepted. */
  readonly notCarriedOver: readonly string[]
  /** What keeps the user from logging in as things stand. */
  readonly warnings: readonly string[]
}

/** What an import stands on. */
export interface ImportOptions {
  readonly store: UserStore
  readonly secrets: SecretBox
  readonly completion: CompletionOptions
  readonly changes: AccountChanges
  readonly addresses: AddressManager
}

/** Takes over a dump of SFTPGo, as text, and reports what was not. */
export type DumpImporter = (
  text: string,
  options: { readonly addOnly: boolean },
  by: Actor,
) => Promise<ImportReport>

/** Creates the importer. */
export function createDumpImporter(options: ImportOptions): DumpImporter {
  return async (text, { addOnly }, by) => {
    const dump = parseDump(text)
    const bad = dump.problems[0]
    if (bad !== undefined && dump.users.length + dump.groups.length + dump.folders.length === 0)
      throw new AccountError('invalid', `This is not a dump of SFTPGo: ${bad}`)
    // Folders before groups before users: who refers to something is judged when it is there.
    const folders = await importNamed(dump.folders, (folder) => importFolder(options, folder, by))
    const groups = await importNamed(dump.groups, (group) => importGroup(options, group, by))
    for (const rule of dump.addressRules) await options.addresses.add(rule, by)
    const users: ImportedUser[] = []
    for (const parsed of dump.users) users.push(await importUser(options, { parsed, addOnly, by }))
    return {
      users,
      groups: groups.taken,
      folders: folders.taken,
      addressRules: dump.addressRules.length,
      notCarriedOver: [...dump.dropped, ...folders.problems, ...groups.problems],
    }
  }
}

async function importFolder(
  { store, secrets, changes }: ImportOptions,
  folder: Folder,
  by: Actor,
): Promise<void> {
  const { filesystem, ...rest } = folder
  const before = store.findFolder(folder.name)
  const binding = `folder_${folder.name}`
  const sealed = await sealedIn(secrets, filesystem, { binding, before: before?.filesystem })
  await store.putFolder({ ...rest, ...sealed })
  const data = { ...rest, ...withoutPassphraseIn(filesystem) }
  await changes.tell({ action: actionOf(before), type: 'folder', name: folder.name, data }, by)
}

async function importGroup(
  { store, secrets, changes }: ImportOptions,
  group: Group,
  by: Actor,
): Promise<void> {
  const { filesystem, ...settings } = group.user_settings
  const before = store.findGroup(group.name)
  const binding = `group_${group.name}`
  const sealed = await sealedIn(secrets, filesystem, { binding, before: before?.user_settings.filesystem })
  await store.putGroup({ ...group, user_settings: { ...settings, ...sealed } })
  const data = { ...group, user_settings: { ...settings, ...withoutPassphraseIn(filesystem) } }
  await changes.tell({ action: actionOf(before), type: 'group', name: group.name, data }, by)
}

function actionOf(before: object | undefined): 'add' | 'update' {
  return before === undefined ? 'add' : 'update'
}

async function sealedIn(
  secrets: SecretBox,
  filesystem: FilesystemConfig | undefined,
  place: Parameters<typeof sealFilesystem>[2],
): Promise<{ readonly filesystem?: FilesystemConfig }> {
  return filesystem === undefined ? {} : { filesystem: await sealFilesystem(secrets, filesystem, place) }
}

function withoutPassphraseIn(filesystem: FilesystemConfig | undefined): object {
  return filesystem === undefined ? {} : { filesystem: withoutPassphrase(filesystem) }
}

async function importUser(
  options: ImportOptions,
  {
    parsed,
    addOnly,
    by,
  }: { readonly parsed: Dump['users'][number]; readonly addOnly: boolean; readonly by: Actor },
): Promise<ImportedUser> {
  const { store, changes } = options
  const { value, problems, dropped } = withoutBadKeys(parsed)
  const report = { username: value.username, notCarriedOver: dropped, warnings: [] }
  if (problems.length > 0) return { ...report, result: 'skipped', problems }
  const before = store.findUser(value.username)
  if (!store.canChange(value.username))
    return { ...report, result: 'skipped', problems: ['is kept in the users file'] }
  if (before !== undefined && addOnly) return { ...report, result: 'kept', problems: [] }
  try {
    const password = value.password === undefined ? {} : { password: await changes.hashed(value.password) }
    const user = await changes.put({ ...value, ...password }, by)
    const result = before === undefined ? 'added' : 'updated'
    return { ...report, result, problems: [], warnings: warningsOf(options, user) }
  } catch (error) {
    if (!(error instanceof AccountError)) throw error
    return { ...report, result: 'skipped', problems: [error.message] }
  }
}

function warningsOf({ store, completion }: ImportOptions, user: User): string[] {
  const hash = user.password === undefined ? undefined : parsePasswordHash(user.password)
  const completed = completeUser(user, surroundingsOf(store), completion)
  return [
    ...(hash?.kind === 'unusable' ? [`The password cannot be used: ${hash.reason}`] : []),
    ...('problem' in completed ? [completed.problem] : []),
  ]
}

/** A key that is not accepted stays behind, with the reason; the rest of its user does not have to. */
function withoutBadKeys({ value, problems, dropped }: Dump['users'][number]): Dump['users'][number] {
  const bad = new Map(
    problems.flatMap((problem) => {
      const found = /public_keys\[(\d+)\]: .*$/.exec(problem)
      return found === null ? [] : [[Number(found[1]), found[0]] as const]
    }),
  )
  if (bad.size === 0 || bad.size < problems.length) return { value, problems, dropped }
  const kept = (value.public_keys ?? []).filter((_line, index) => !bad.has(index))
  return { value: { ...value, public_keys: kept }, problems: [], dropped: [...dropped, ...bad.values()] }
}

async function importNamed<T extends { readonly name: string }>(
  records: readonly {
    readonly value: T
    readonly problems: readonly string[]
    readonly dropped: readonly string[]
  }[],
  put: (record: T) => Promise<void>,
): Promise<{ readonly taken: string[]; readonly problems: string[] }> {
  const taken: string[] = []
  const problems: string[] = []
  for (const record of records) {
    problems.push(...record.problems, ...record.dropped.map((field) => `"${record.value.name}": ${field}`))
    if (record.problems.length > 0) continue
    await put(record.value)
    taken.push(record.value.name)
  }
  return { taken, problems }
}
