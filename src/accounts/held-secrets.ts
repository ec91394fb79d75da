import type { HeldSecret } from '../secrets/rotation.ts'
import { isEmptySecret, type StoredSecret } from '../secrets/secret.ts'
import type { FilesystemConfig, User } from './user.ts'
import type { UserStore } from './user-store.ts'

/** Every secret that accounts keep. Those of a users file are read-only: `replace` is left out. */
export function heldSecrets(store: UserStore): HeldSecret[] {
  return [...secretsOfUsers(store), ...secretsOfGroups(store), ...secretsOfFolders(store)]
}

function secretsOfUsers(store: UserStore): HeldSecret[] {
  return store.listUsers({ limit: 1_000_000 }).flatMap(({ username, filesystem, filters }) => {
    const change = (action: (user: User) => User | undefined) => async (): Promise<boolean> => {
      let changed = false
      await store.changeUser(username, (user) => {
        const next = action(user)
        changed = next !== undefined
        return next ?? user
      })
      return changed
    }
    const held = (
      field: string,
      stored: StoredSecret | undefined,
      replaced: (user: User, next: StoredSecret) => User | undefined,
    ): HeldSecret[] =>
      isHeld(stored)
        ? [
            {
              ...{ place: `user/${username}/${field}`, binding: username, stored },
              ...(store.canChange(username) && {
                replace: (next) => change((user) => replaced(user, next))(),
              }),
            },
          ]
        : []
    const { passphrase } = filesystem.cryptconfig ?? {}
    const secret = filters.totp_config?.secret
    return [
      ...held('filesystem.cryptconfig.passphrase', passphrase, (user, next) =>
        same(user.filesystem.cryptconfig?.passphrase, passphrase)
          ? { ...user, filesystem: withPassphrase(user.filesystem, next) }
          : undefined,
      ),
      ...held('filters.totp_config.secret', secret, (user, next) =>
        same(user.filters.totp_config?.secret, secret)
          ? {
              ...user,
              filters: { ...user.filters, totp_config: { ...user.filters.totp_config, secret: next } },
            }
          : undefined,
      ),
    ]
  })
}

function secretsOfGroups(store: UserStore): HeldSecret[] {
  return store.listGroups().flatMap(({ name, user_settings: { filesystem } }) => {
    const stored = filesystem?.cryptconfig?.passphrase
    if (!isHeld(stored)) return []
    const replace = async (next: StoredSecret): Promise<boolean> => {
      const group = store.findGroup(name)
      const now = group?.user_settings.filesystem
      if (group === undefined || now === undefined || !same(now.cryptconfig?.passphrase, stored)) return false
      const settings = { ...group.user_settings, filesystem: withPassphrase(now, next) }
      await store.putGroup({ ...group, user_settings: settings })
      return true
    }
    const place = `group/${name}/filesystem.cryptconfig.passphrase`
    return [{ place, binding: `group_${name}`, stored, replace }]
  })
}

function secretsOfFolders(store: UserStore): HeldSecret[] {
  return store.listFolders().flatMap(({ name, filesystem }) => {
    const stored = filesystem?.cryptconfig?.passphrase
    if (!isHeld(stored)) return []
    const replace = async (next: StoredSecret): Promise<boolean> => {
      const folder = store.findFolder(name)
      const now = folder?.filesystem
      if (folder === undefined || now === undefined || !same(now.cryptconfig?.passphrase, stored))
        return false
      await store.putFolder({ ...folder, filesystem: withPassphrase(now, next) })
      return true
    }
    const place = `folder/${name}/filesystem.cryptconfig.passphrase`
    return [{ place, binding: `folder_${name}`, stored, replace }]
  })
}

function isHeld(stored: StoredSecret | undefined): stored is StoredSecret {
  return stored !== undefined && !isEmptySecret(stored)
}

function withPassphrase(filesystem: FilesystemConfig, passphrase: StoredSecret): FilesystemConfig {
  return { ...filesystem, cryptconfig: { passphrase } }
}

function same(one: StoredSecret | undefined, other: StoredSecret | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
