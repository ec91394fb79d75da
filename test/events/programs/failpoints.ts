import type { EventLog, Intent } from '../../../src/events/event-log.ts'
import type { Database } from '../../../src/database/open-database.ts'
import { whenReady, type Soon } from '../../../src/base/soon.ts'
import type { AskedNotifier, Notifier } from '../../../src/slots/notifier/contract.ts'
import type { Backend, OpenFile } from '../../../src/storage/backend.ts'

/** Ends the process as a kill would, at one chosen moment. */
export interface Failpoints {
  /** Whoever passes here may not come back. */
  pass(step: string): void
  /** The same parts, with a moment before and one after each call that changes something. */
  inBackend(backend: Backend): Backend
  inLog(log: EventLog): EventLog
  inDatabase(database: Database): Database
  inNotifier(notifier: AskedNotifier): Notifier & Pick<AskedNotifier, 'notifyFiles'>
}

/** Creates them; `chosen` is `step#occurrence`, or nothing. */
export function createFailpoints(chosen: string): Failpoints {
  const [, chosenStep, occurrence] = /^(.+)#(\d+)$/.exec(chosen) ?? []
  let passed = 0
  const pass = (step: string): void => {
    if (step !== chosenStep) return
    passed += 1
    if (passed === Number(occurrence)) process.kill(process.pid, 'SIGKILL')
  }
  const around = <T>(step: string, action: () => Soon<T>): Soon<T> => {
    pass(`before ${step}`)
    return whenReady(action(), (value) => {
      pass(`after ${step}`)
      return value
    })
  }
  const later = async <T>(step: string, action: () => Promise<T>): Promise<T> => around(step, action)
  return {
    pass,
    inBackend: (backend) => ({
      ...backend,
      open: (path, intent) =>
        around(intent.write ? 'opening' : 'reading', () =>
          whenReady(backend.open(path, intent), (file) => (intent.write ? inFile(file) : file)),
        ),
      makeDirectory: (path, mode) => around('mkdir', () => backend.makeDirectory(path, mode)),
      removeDirectory: (path) => around('rmdir', () => backend.removeDirectory(path)),
      remove: (path) => around('removing', () => backend.remove(path)),
      rename: (from, to, how) => around('renaming', () => backend.rename(from, to, how)),
    }),
    inLog: (log) => ({
      ...log,
      wants: (action) => log.wants(action),
      permits: (event) => log.permits(event),
      intend: (intent) => around('the intent', () => whenReady(log.intend(intent), inIntent)),
      record: (event) => around('recording', () => log.record(event)),
    }),
    inDatabase: (database) => ({
      ...database,
      writer: {
        get waiting() {
          return database.writer.waiting
        },
        write: (steps, options) => later('a write', () => database.writer.write(steps, options)),
      },
    }),
    inNotifier(notifier) {
      const { notifyFiles } = notifier
      return {
        notifyFile: (notice, call) => later('telling', () => notifier.notifyFile(notice, call)),
        ...(notifyFiles !== undefined && {
          notifyFiles: (notices, call) => later('telling', () => notifyFiles(notices, call)),
        }),
      }
    },
  }

  function inFile(file: OpenFile): OpenFile {
    return {
      read: (into, position) => file.read(into, position),
      write: (chunks, position) => around('writing', () => file.write(chunks, position)),
      attributes: () => file.attributes(),
      change: (change) => file.change(change),
      sync: () => file.sync(),
      close: () => around('closing', () => file.close()),
    }
  }

  function inIntent(intent: Intent): Intent {
    return {
      commit(event) {
        pass('before the commit')
        const committed = intent.commit(event)
        pass('amid the commit')
        return whenReady(committed, () => pass('after the commit'))
      },
      abandon: () => around('abandoning', () => intent.abandon()),
    }
  }
}

/** Every moment that exists. */
export const moments: readonly string[] = [
  ...['opening', 'the intent', 'writing', 'closing', 'renaming', 'removing', 'mkdir', 'rmdir', 'reading'],
  ...['recording', 'the commit', 'abandoning', 'answering', 'a write', 'telling'],
].flatMap((step) => [
  `before ${step}`,
  ...(step === 'the commit' ? ['amid the commit'] : []),
  `after ${step}`,
])
