import { afterEach, describe } from 'vitest'
import type { User } from '../../src/accounts/user.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import type { UserFilesOptions } from '../../src/files/create-user-files.ts'
import type { UserFiles } from '../../src/files/user-files.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { openLocalBackend } from '../../src/storage/local.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { temporaryDirectory } from './temporary-directory.ts'
import { filesOn } from './user-files.ts'

/** What a test may say about the person and the policy. */
export type FilesOptions = Partial<UserFilesOptions> & { readonly user?: Partial<User> }

/** A place of bytes, empty at the start of each test. */
export interface TestPlace {
  readonly name: string
  backend(): Backend
  /** Files of a user there; links and owners may be changed unless `policy` says otherwise. */
  files(options?: FilesOptions): UserFiles
  /** Names as the backend has them, hidden ones included. */
  realNames(path?: string): Promise<string[]>
}

/** Runs the tests on each kind of place: at once, later, and a disk of this machine. */
export function eachPlace(title: string, tests: (place: TestPlace) => void): void {
  const makers: Record<string, () => { backend: Backend; remove: () => void }> = {
    'memory, at once': () => ({ backend: createMemoryBackend(), remove() {} }),
    'memory, later': () => ({ backend: createMemoryBackend({ later: true }), remove() {} }),
    'local disk': () => {
      const directory = temporaryDirectory()
      const backend = openLocalBackend({ root: directory.path })
      return {
        backend,
        remove() {
          void backend.close()
          directory[Symbol.dispose]()
        },
      }
    },
  }
  for (const [name, make] of Object.entries(makers)) {
    describe(`${title} (${name})`, () => {
      let current: ReturnType<typeof make> | undefined
      afterEach(() => {
        current?.remove()
        current = undefined
      })
      const backend = (): Backend => (current ??= make()).backend
      tests({
        name,
        backend,
        files: ({ policy, ...options } = {}) =>
          filesOn(backend(), {
            ...options,
            policy: { symbolicLinks: true, hardLinks: true, changeOwner: true, ...policy },
          }),
        async realNames(path = '/') {
          const listing = await backend().list(virtualPath(path))
          const names: string[] = []
          for (;;) {
            const entries = await listing.next(100)
            if (entries.length === 0) break
            names.push(...entries.map((entry) => entry.name))
          }
          await listing.close()
          return names.sort()
        },
      })
    })
  }
}
