import type { FileUserStore } from './file-user-store.ts'
import type { UserStore } from './user-store.ts'

/** Accounts of a users file before those of the database: a name in the file hides the same name in the database. */
export function layerUserStores(file: FileUserStore, database: UserStore): UserStore {
  const keeper = (username: string): UserStore => (file.canChange(username) ? database : file)
  return {
    canChange: (username) => file.canChange(username),
    findUser: (username) => file.findUser(username) ?? database.findUser(username),
    findGroup: (name) => file.findGroup(name) ?? database.findGroup(name),
    findFolder: (name) => file.findFolder(name) ?? database.findFolder(name),
    listUsers(page = {}) {
      const ofFile = file.listUsers(page)
      const names = new Set(ofFile.map(({ username }) => username))
      return [...ofFile, ...database.listUsers(page).filter(({ username }) => !names.has(username))]
        .sort((a, b) => (a.username < b.username ? -1 : 1))
        .slice(0, page.limit ?? 1000)
    },
    listGroups: () => byName(file.listGroups(), database.listGroups()),
    listFolders: () => byName(file.listFolders(), database.listFolders()),
    get isEmpty() {
      return file.isEmpty && database.isEmpty
    },
    putUser: (user) => keeper(user.username).putUser(user),
    changeUser: (username, change) => keeper(username).changeUser(username, change),
    removeUser: (username) => keeper(username).removeUser(username),
    putGroup: (group) => (file.findGroup(group.name) === undefined ? database : file).putGroup(group),
    removeGroup: (name) => (file.findGroup(name) === undefined ? database : file).removeGroup(name),
    putFolder: (folder) => (file.findFolder(folder.name) === undefined ? database : file).putFolder(folder),
    removeFolder: (name) => (file.findFolder(name) === undefined ? database : file).removeFolder(name),
    noteLogin: (username, at) => database.noteLogin(username, at),
    watch(listener) {
      const ends = [file.watch(listener), database.watch(listener)]
      return () => {
        for (const end of ends) end()
      }
    },
    async close() {
      await file.close()
      await database.close()
    },
  }
}

function byName<T extends { readonly name: string }>(first: readonly T[], second: readonly T[]): T[] {
  const names = new Set(first.map(({ name }) => name))
  return [...first, ...second.filter(({ name }) => !names.has(name))]
}
