import type { ClientDriver, ServerAddress } from './driver.ts'
import { run, type RunOptions } from './run.ts'

/** A small program around a client library: `COMMAND... PORT USER KEY KNOWN_HOSTS OPERATION ARGUMENT...`. */
export interface ClientProgram {
  readonly name: string
  readonly needs: string
  version(): Promise<string | undefined>
  /** The command and its first arguments. */
  readonly command: readonly [string, ...string[]]
}

/** The operations every such program knows: put, get, list, rename, remove, reput, reget. */
export function programDriver(program: ClientProgram): ClientDriver {
  const call = (
    server: ServerAddress,
    args: readonly string[],
    more: RunOptions = {},
  ): ReturnType<typeof run> => {
    const [command, ...first] = program.command
    const login = [String(server.port), server.username, server.keyFile, server.knownHosts]
    return run(command, [...first, ...login, ...args], more)
  }
  return {
    name: program.name,
    needs: program.needs,
    version: () => program.version(),
    async put(server, { local, remote }) {
      await call(server, ['put', local, remote])
    },
    async get(server, { local, remote }) {
      await call(server, ['get', remote, local])
    },
    async list(server, remote) {
      const { out } = await call(server, ['list', remote])
      const names: unknown = JSON.parse(out)
      return Array.isArray(names) ? names.map(String) : []
    },
    async renameOver(server, from, to) {
      await call(server, ['rename', from, to])
    },
    async remove(server, remote) {
      await call(server, ['remove', remote])
    },
    async resumePut(server, { local, remote }) {
      await call(server, ['reput', local, remote])
    },
    async resumeGet(server, { local, remote }) {
      await call(server, ['reget', remote, local])
    },
    async abortPut(server, { local, remote, halfway }) {
      await call(server, ['put', local, remote], { killWhen: halfway })
    },
  }
}
