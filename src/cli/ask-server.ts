import { loadConfig } from '../config/load-config.ts'
import { controlSocketOf } from '../server/state-layout.ts'
import { type ControlClient, connectControl } from '../control/control-client.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** Asks the server that runs with this configuration one thing. Throws, with exit code 1, when none runs. */
export async function askServer(configFile: string, operation: string, input?: unknown): Promise<unknown> {
  const client = await requireServer(configFile)
  try {
    return await client.ask(operation, input)
  } finally {
    client.close()
  }
}

/** The connection to the server that runs with this configuration. Throws, with exit code 1, when none runs. */
export async function requireServer(configFile: string): Promise<ControlClient> {
  const client = await findServer(configFile)
  if (client !== undefined) return client
  throw new CommandError(
    exitCodes.unexpected,
    `No server runs with "${configFile}"; start one with "sftpgo-ts serve"`,
  )
}

/** The connection to the server that runs with this configuration, or undefined when none runs. */
export function findServer(configFile: string): Promise<ControlClient | undefined> {
  // A mistake elsewhere in the file must not hide the server that runs with its older form.
  return connectControl(controlSocketOf(loadConfig(configFile).stateFolder))
}
