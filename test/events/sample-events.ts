import type { FileEvent } from '../../src/events/event.ts'
import type { FileIntent } from '../../src/events/event-log.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import type { FileNotice, Notifier } from '../../src/slots/notifier/contract.ts'
import type { NotifierEntry } from '../../src/events/notifier-entry.ts'

/** An upload that went well. */
export function uploadOf(username: string, path: string, more: Partial<FileEvent> = {}): FileEvent {
  return {
    kind: 'file',
    action: 'upload',
    username,
    role: '',
    path: virtualPath(path),
    storagePath: `/srv/${username}${path}`,
    size: 5,
    status: 1,
    protocol: 'SFTP',
    address: '127.0.0.1',
    sessionId: 'SFTP_abc_1',
    filesystemProvider: 0,
    openFlags: 0,
    elapsedMs: 3,
    ...more,
  }
}

/** An upload as an intent that no disk can prove. */
export function intentOf(event: FileEvent): FileIntent {
  return { event, check: { of: 'unknown' } }
}

/** A notifier in memory that can be switched off, made slow, or told to refuse. */
export interface Listener {
  readonly entry: NotifierEntry
  readonly heard: FileNotice[]
  /** What is done with a notice before it counts as heard. */
  on: (notice: FileNotice) => Promise<void>
  setReady(ready: boolean): void
  paths(username?: string): string[]
}

/** Creates a listener for uploads; `more` changes its entry. */
export function createListener(name = 'ear', more: Partial<NotifierEntry> = {}): Listener {
  const heard: FileNotice[] = []
  let ready = true
  const whenReady = new Set<() => void>()
  const notifier: Notifier = {
    async notifyFile(notice) {
      await listener.on(notice)
      heard.push(notice)
    },
  }
  const listener: Listener = {
    heard,
    entry: {
      name,
      notifier: () => (ready ? notifier : undefined),
      onReady(action) {
        whenReady.add(action)
        return () => whenReady.delete(action)
      },
      wants: { files: ['upload', 'rename', 'delete'] },
      ...more,
    },
    async on() {},
    setReady(now) {
      ready = now
      if (now) for (const action of whenReady) action()
    },
    paths: (username) =>
      heard
        .filter((notice) => username === undefined || notice.username === username)
        .map(({ path }) => path),
  }
  return listener
}

/** Waits until `holds` does; fails with `what` after `withinMs`. */
export async function eventually(what: string, holds: () => boolean, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > end) throw new Error(`Waited ${withinMs} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
