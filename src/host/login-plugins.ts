import { PluginError } from '../base/errors.ts'
import type { Authenticator } from '../slots/auth/contract.ts'
import type { PluginHost } from './host.ts'

/** An auth plugin in line: whom to ask, for which methods, and what its silence and its "no" mean. */
export interface LoginPlugin {
  readonly name: string
  /** 1 password, 2 public key, 4 keyboard-interactive, 8 certificate. */
  readonly scope: number
  /** Asks the process that is ready at the time of each call; throws `not-ready` while there is none. */
  readonly authenticator: Authenticator
  readonly whenDown: 'refuse' | 'next'
  readonly whenRefused: 'refuse' | 'next'
}

/**
 * The auth plugins in the order of asking.
 *
 * A dialogue stays with the process that began it: when that process is gone, so is the dialogue, and the next
 * process is never shown answers to questions it did not ask.
 */
export function loginPlugins(host: PluginHost): LoginPlugin[] {
  return host.configured('auth').map(({ name, entry }) => ({
    name,
    scope: entry.scope ?? 0,
    authenticator: authenticatorOf(host, name),
    whenDown: entry.whenDown === 'next' ? 'next' : 'refuse',
    whenRefused: entry.whenRefused ?? 'refuse',
  }))
}

/** Most dialogues that are remembered at once; the oldest are forgotten, and then end. */
const mostDialogues = 10_000

function authenticatorOf(host: PluginHost, name: string): Required<Authenticator> {
  const ask = (): Required<Authenticator> => host.ask('auth', name)
  const dialogues = host.dialoguesOf(name)
  return {
    checkPassword: async (attempt, call) => ask().checkPassword(attempt, call),
    checkPublicKey: async (attempt, call) => ask().checkPublicKey(attempt, call),
    checkCertificate: async (attempt, call) => ask().checkCertificate(attempt, call),
    beginDialogue: async (attempt, call) => ask().beginDialogue(attempt, call),
    async continueDialogue(step, call) {
      const process = ask()
      const began = dialogues.get(step.dialogueId)
      if (step.step > 1 && began !== process)
        throw new PluginError('exited', `The process of "${name}" that asked the first question is gone`)
      remember(dialogues, step.dialogueId, process)
      const reply = await process.continueDialogue(step, call)
      if (reply.next !== 'ask') dialogues.delete(step.dialogueId)
      return reply
    },
  }
}

function remember(dialogues: Map<string, unknown>, id: string, process: unknown): void {
  dialogues.set(id, process)
  const [oldest] = dialogues.keys()
  if (dialogues.size > mostDialogues && oldest !== undefined) dialogues.delete(oldest)
}
