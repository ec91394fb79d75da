import { type ActiveUploads, createActiveUploads } from '../files/active-uploads.ts'
import { partPrefix } from '../files/part-names.ts'
import type { BoardNews, LinkToPrimary } from './contract.ts'

/** The uploads of a worker, and what it has to know of those of other workers. */
export interface RemoteUploads {
  readonly active: ActiveUploads
  take(news: BoardNews): void
  setLives(lives: readonly string[]): void
}

/** Creates it over the line to the primary; `life` marks the hidden names of this worker. */
export function createRemoteUploads(link: LinkToPrimary, life: string): RemoteUploads {
  const own = createActiveUploads(life)
  const reserved = new Map<string, number>()
  let lives: ReadonlySet<string> = new Set()
  return {
    active: {
      add(upload) {
        own.add(upload)
        if (upload.exclusive) link.tell('board', { of: 'reserved', root: upload.root, final: upload.final })
      },
      remove(upload) {
        own.remove(upload)
        if (upload.exclusive) link.tell('board', { of: 'free', root: upload.root, final: upload.final })
      },
      isReserved: (root, final) => own.isReserved(root, final) || reserved.has(`${root}\0${final}`),
      moved(root, from, to) {
        own.moved(root, from, to)
        link.tell('board', { of: 'moved', root, from, to })
      },
      // Of another worker's hidden files it is known whose they are, which is enough to leave them alone.
      lives: (root, part) => own.lives(root, part) || lives.has(lifeOf(part)),
      nextId: () => own.nextId(),
    },
    take(news) {
      if (news.of === 'moved') return own.moved(news.root, news.from, news.to)
      const key = `${news.root}\0${news.final}`
      const count = (reserved.get(key) ?? 0) + (news.of === 'reserved' ? 1 : -1)
      if (count > 0) reserved.set(key, count)
      else reserved.delete(key)
    },
    setLives(all) {
      lives = new Set(all.filter((each) => each !== life))
    },
  }
}

/** The mark in a hidden name: see `part-names` and `nextId`. */
function lifeOf(part: string): string {
  const name = part.slice(part.lastIndexOf('/') + 1)
  return name.startsWith(partPrefix) ? (name.slice(partPrefix.length).split('-')[0] ?? '') : ''
}
