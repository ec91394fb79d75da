import { chmodSync, rmSync } from 'node:fs'
import { type Server, type Socket, createServer } from 'node:net'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { readJsonLines, writeJsonLine } from './json-lines.ts'
import { shortSocketPath } from './socket-path.ts'

/** One thing a command can ask of a running server. */
export type ControlOperation = (input: unknown, call: ControlCall) => unknown

/** What an operation is given beside its input. */
export interface ControlCall {
  /** Fires when the asker has gone. */
  readonly signal: AbortSignal
  /** Sends one item of a stream; returns when the asker can take more. */
  send(item: unknown): Promise<void>
}

/** What can be asked, by name. */
export type ControlOperations = Readonly<Record<string, ControlOperation>>

/** The running socket. */
export interface ControlServer {
  close(): Promise<void>
}

/** How many askers are served at once. */
const mostConnections = 64

/**
 * Opens the socket over which commands reach this server. Only its owner can use it (mode 0600). The folder must be
 * held by this server (`holdStateFolder`): a socket left behind by a dead one is replaced.
 */
export async function openControlServer(options: {
  readonly socketPath: string
  readonly operations: ControlOperations
  readonly log: Logger
}): Promise<ControlServer> {
  const { socketPath, operations, log } = options
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serve(socket, operations, log)
  })
  server.maxConnections = mostConnections
  rmSync(socketPath, { force: true })
  const short = shortSocketPath(socketPath)
  await listen(server, short.path)
  return {
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      rmSync(socketPath, { force: true })
      short.close()
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The mask closes the moment between creating the socket and changing its mode.
    const mask = process.umask(0o177)
    server.listen(path, () => {
      server.off('error', reject)
      chmodSync(path, 0o600)
      resolve()
    })
    process.umask(mask)
  })
}

function serve(socket: Socket, operations: ControlOperations, log: Logger): void {
  const gone = new AbortController()
  socket.on('close', () => gone.abort())
  socket.on('error', () => {})
  readJsonLines(socket, (request) => {
    void answer(socket, request, operations, gone.signal, log)
  })
}

async function answer(
  socket: Socket,
  request: unknown,
  operations: ControlOperations,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  const { id, operation, input } = fieldsOf(request)
  // Whether somebody is there is asked while a long answer is under way.
  if (operation === 'alive') return void writeJsonLine(socket, { id, result: null })
  const action = Object.hasOwn(operations, operation) ? operations[operation] : undefined
  if (action === undefined) {
    writeJsonLine(socket, {
      id,
      error: { code: 'not-found', message: `This server knows no operation "${operation}"` },
    })
    return
  }
  const send = async (item: unknown): Promise<void> => {
    if (writeJsonLine(socket, { id, item }) || signal.aborted) return
    await drained(socket)
  }
  try {
    const result = await action(input, { signal, send })
    writeJsonLine(socket, { id, result: result ?? null })
  } catch (error) {
    if (!signal.aborted) log.debug('control operation failed', { operation, error: messageOf(error) })
    writeJsonLine(socket, { id, error: { code: codeOf(error), message: messageOf(error) } })
  }
}

function fieldsOf(request: unknown): { id: unknown; operation: string; input: unknown } {
  // Every field is checked or passed on as unknown.
  const { id, operation, input } = (typeof request === 'object' && request !== null ? request : {}) as Record<
    string,
    unknown
  >
  return { id, operation: typeof operation === 'string' ? operation : '', input }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'unexpected'
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}
