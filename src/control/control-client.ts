import { type Socket, createConnection } from 'node:net'
import { readJsonLines, writeJsonLine } from './json-lines.ts'
import { shortSocketPath } from './socket-path.ts'

/** A connection to a running server. */
export interface ControlClient {
  /** Asks one thing. A refusal or failure of the server is thrown as a `ControlError`. */
  ask(operation: string, input?: unknown): Promise<unknown>
  /** Asks for a stream; ends when the server ends it, or when the caller leaves the loop. */
  follow(operation: string, input?: unknown): AsyncIterable<unknown>
  close(): void
}

/** What a running server answered instead of a result. */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** A server that is silent for this long is taken for one that hangs: asked whether it lives, it answers at once. */
const patienceMs = 10_000

/**
 * Connects to the server that holds a state folder; undefined when none runs. Whatever is asked afterwards ends: with an
 * answer, or with a `ControlError` of the code `deadline` when the server shows no life for `silentMs` (default 10 s).
 */
export async function connectControl(
  socketPath: string,
  { silentMs = patienceMs }: { readonly silentMs?: number } = {},
): Promise<ControlClient | undefined> {
  const socket = await connected(socketPath)
  if (socket === undefined) return undefined
  endWhenSilent(socket, silentMs)
  return clientOver(socket)
}

/** An answer may take its time, a sign of life may not. What arrives for whoever asked is a sign too. */
function endWhenSilent(socket: Socket, silentMs: number): void {
  let asked = false
  const timer = setInterval(() => {
    // While the reader takes its time nothing arrives here, whatever the server does.
    if (socket.isPaused()) return
    if (asked)
      return void socket.destroy(new ControlError('deadline', 'The server does not answer: it seems to hang'))
    asked = true
    writeJsonLine(socket, { id: 0, operation: 'alive' })
  }, silentMs / 2)
  timer.unref()
  socket.on('data', () => {
    asked = false
  })
  socket.on('close', () => clearInterval(timer))
}

async function connected(socketPath: string): Promise<Socket | undefined> {
  let short
  try {
    short = shortSocketPath(socketPath)
  } catch {
    return undefined // the folder is not there
  }
  const socket = createConnection(short.path)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return socket
  } catch (error) {
    if (isNobodyThere(error)) return undefined
    throw error
  } finally {
    short.close()
  }
}

function isNobodyThere(error: unknown): boolean {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR'
}

interface Waiting {
  item(item: unknown): void
  done(result: unknown): void
  failed(error: Error): void
}

function clientOver(socket: Socket): ControlClient {
  const waiting = new Map<number, Waiting>()
  let next = 1
  let ending = new ControlError('stopped', 'The server ended the conversation')
  socket.on('error', (error) => {
    if (error instanceof ControlError) ending = error
  })
  socket.on('close', () => {
    for (const asker of waiting.values()) asker.failed(ending)
    waiting.clear()
  })
  readJsonLines(socket, (line) => {
    // The server's own lines; fields are looked at one by one.
    const { id, item, result, error } = line as Record<string, unknown>
    const asker = typeof id === 'number' ? waiting.get(id) : undefined
    if (asker === undefined || typeof id !== 'number') return
    if (item !== undefined) return asker.item(item)
    waiting.delete(id)
    if (error === undefined) return asker.done(result)
    const { code, message } = error as Record<string, unknown> // as the control server writes it
    asker.failed(new ControlError(String(code), String(message)))
  })

  function start(operation: string, input: unknown, asker: Waiting): void {
    const id = next
    next += 1
    if (socket.destroyed) return asker.failed(ending)
    waiting.set(id, asker)
    writeJsonLine(socket, { id, operation, input })
  }

  return {
    ask: (operation, input) =>
      new Promise((resolve, reject) => start(operation, input, { item() {}, done: resolve, failed: reject })),
    async *follow(operation, input) {
      const items: unknown[] = []
      let ended: { error?: Error } | undefined
      let wake = (): void => {}
      start(operation, input, {
        item: (item) => {
          items.push(item)
          if (items.length > 1000) socket.pause()
          wake()
        },
        done: () => {
          ended = {}
          wake()
        },
        failed: (error) => {
          ended = { error }
          wake()
        },
      })
      for (;;) {
        const ready = items.splice(0)
        if (ready.length > 0) {
          yield* ready
          socket.resume()
        } else if (ended === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        } else if (ended.error !== undefined) {
          throw ended.error
        } else {
          return
        }
      }
    },
    close: () => void socket.destroy(),
  }
}
