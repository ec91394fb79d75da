import type { LogLevel } from '../../base/log.ts'
import { sendDatagram } from '../../native/datagram.ts'
import type { LineSink } from './plain-log.ts'

/** Where a Unix system listens for what programs have to tell. */
const systemSocket = '/dev/log'

/** Numbers of syslog's facilities, by OpenSSH's names for them. */
export const facilities: Readonly<Record<string, number>> = {
  ...{ USER: 1, DAEMON: 3, AUTH: 4 },
  ...Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`LOCAL${index}`, 16 + index])),
}

/** Lines for the system's log, as `syslog(3)` sends them. Where nobody listens, or without native code, they are lost. */
export function createSystemLog(facility: number, socket = systemSocket, send = sendDatagram): LineSink {
  return (level, line) => {
    send(socket, `<${facility * 8 + severities[level]}>sftp-server[${process.pid}]: ${line}`)
  }
}

const severities: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7, trace: 7 }
