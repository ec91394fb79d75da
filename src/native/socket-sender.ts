import { native, type Native } from './library.ts'

/** `MSG_DONTWAIT | MSG_NOSIGNAL` of Linux. */
const sendFlags = 0x40 | 0x4000

/**
 * Sends bytes on a socket at once, without waiting: how many the kernel took, or -1 where it took none, for whatever
 * reason. What it did not take is for Node's own way, which waits, and which says what is wrong.
 */
export type SocketSender = (fd: number, address: number, length: number) => number

/**
 * The way past Node's streams for bytes whose address is known. Undefined where there is no native code.
 *
 * A write of Node's costs an object, a callback and some ticks, 5 to 10 microseconds; this costs the system call.
 * The caller vouches that `length` bytes lie at `address` and that `fd` is the socket meant: ask for it anew each time.
 */
export function createSocketSender(from: Native = native()): SocketSender | undefined {
  if (!from.works || process.platform !== 'linux') return undefined
  const send = from.libc.declare<(fd: number, bytes: number, length: number, flags: number) => number>(
    'int64_t send(int fd, uint64_t bytes, size_t length, int flags)',
  )
  return (fd, address, length) => send(fd, address, length, sendFlags)
}
