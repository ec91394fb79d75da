import { fstatSync } from 'node:fs'
import { sendDatagram } from '../native/datagram.ts'

/** Tells systemd how the server is; says nothing where no systemd asked. */
export interface ServiceManager {
  ready(status: string): void
  reloading(): void
  stopping(): void
  close(): void
}

/** Reads `NOTIFY_SOCKET` and `WATCHDOG_USEC`; the watchdog is fed from the event loop, so that a stuck one is noticed. */
export function openServiceManager(
  environment: Readonly<Record<string, string | undefined>>,
): ServiceManager {
  const socket = environment['NOTIFY_SOCKET']
  if (socket === undefined || socket === '') return { ready() {}, reloading() {}, stopping() {}, close() {} }
  const tell = (text: string): void => void sendDatagram(socket, text)
  const watchdog = watchdogMs(environment)
  const timer = watchdog === undefined ? undefined : setInterval(() => tell('WATCHDOG=1'), watchdog / 2)
  timer?.unref()
  return {
    ready: (status) => tell(`READY=1\nSTATUS=${status}`),
    reloading: () => tell(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => tell('STOPPING=1'),
    close: () => clearInterval(timer),
  }
}

/** Whether what we print is kept in systemd's journal: nothing secret may then be printed. */
export function printsIntoJournal(environment: Readonly<Record<string, string | undefined>>): boolean {
  const journal = environment['JOURNAL_STREAM']
  if (journal === undefined) return false
  try {
    const { dev, ino } = fstatSync(1)
    return journal === `${dev}:${ino}`
  } catch {
    return false
  }
}

function watchdogMs(environment: Readonly<Record<string, string | undefined>>): number | undefined {
  const { WATCHDOG_USEC: microseconds, WATCHDOG_PID: pid } = environment
  if (microseconds === undefined || (pid !== undefined && pid !== String(process.pid))) return undefined
  const ms = Number(microseconds) / 1000
  return Number.isFinite(ms) && ms > 0 ? ms : undefined
}
