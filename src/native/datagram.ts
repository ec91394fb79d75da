import { addressOf, native } from './library.ts'

/** `AF_UNIX`, `SOCK_DGRAM | SOCK_CLOEXEC` of Linux. */
const unixFamily = 1
const datagramType = 2 | 0o2000000

/**
 * Sends one datagram to a Unix socket, as systemd wants to be told of things. Node has no such sockets; without
 * native code, and on systems other than Linux, nothing is sent. False when it was not.
 */
export function sendDatagram(socketPath: string, text: string): boolean {
  const calls = native()
  if (!calls.works || process.platform !== 'linux') return false
  const address = socketAddress(socketPath)
  if (address === undefined) return false
  const payload = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  payload.write(text)
  const socket = calls.libc.declare<(family: number, type: number, protocol: number) => number>(
    'int socket(int family, int type, int protocol)',
  )
  const sendTo = calls.libc.declare<
    (
      fd: number,
      bytes: number,
      length: number,
      flags: number,
      address: number,
      addressLength: number,
    ) => number
  >(
    'int64_t sendto(int fd, uint64_t bytes, size_t length, int flags, uint64_t address, uint32_t addressLength)',
  )
  const close = calls.libc.declare<(fd: number) => number>('int close(int fd)')
  const fd = socket(unixFamily, datagramType, 0)
  if (fd < 0) return false
  const sent = sendTo(fd, addressOf(payload), payload.length, 0, addressOf(address), address.length)
  close(fd)
  return sent === payload.length
}

/** `struct sockaddr_un`: the family in two bytes of this machine's order, then the path; `@` stands for the abstract NUL. */
function socketAddress(path: string): Buffer | undefined {
  const bytes = Buffer.from(path)
  if (bytes.length === 0 || bytes.length > 107) return undefined
  const abstract = path.startsWith('@')
  const address = Buffer.allocUnsafeSlow(2 + bytes.length + (abstract ? 0 : 1)).fill(0)
  new Uint16Array(address.buffer, address.byteOffset, 1)[0] = unixFamily
  bytes.copy(address, 2)
  if (abstract) address[2] = 0
  return address
}
