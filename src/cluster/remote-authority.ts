import type {
  AskClient,
  LoginAuthority,
  LoginConnection,
  LoginConversation,
  QuestionPage,
} from '../accounts/login-conversation.ts'
import type { LinkToPrimary } from './contract.ts'

/** Decides about connections and logins by asking the primary. */
export interface RemoteAuthority {
  readonly authority: LoginAuthority
  /** Shows a page to the client of a connection; null when nobody is there to see it. */
  show(id: string, page: QuestionPage): Promise<readonly string[] | null>
}

/** A login is over long before, by the grace time of the connection. */
const loginMs = 600_000
const dialogueMs = 3_600_000

/** Creates it over the line to the primary. */
export function createRemoteAuthority(link: LinkToPrimary): RemoteAuthority {
  const clients = new Map<string, AskClient>()
  return {
    authority: {
      admit: (address, id) => link.ask('admit', { id, address }, loginMs),
      exceeded: (address) => link.tell('exceeded', { address }),
      begin(connection) {
        const { connectionId, address, clientVersion } = connection
        // How the address was let in is kept where it was decided.
        link.tell('begin', { connectionId, address, clientVersion })
        return conversation(connection)
      },
    },
    show: async (id, page) => (await clients.get(id)?.(page)) ?? null,
  }

  function conversation({ connectionId: id }: LoginConnection): LoginConversation {
    return {
      none: (username) => link.ask('none', { id, username }, loginMs),
      password: (username, password) => link.ask('password', { id, username, password }, loginMs),
      queryKey: (username, key) => link.ask('queryKey', { id, username, ...key }, loginMs),
      provedKey: (username, key, proof) => link.ask('provedKey', { id, username, ...key, ...proof }, loginMs),
      async keyboardInteractive(username, ask) {
        clients.set(id, ask)
        try {
          return await link.ask('dialogue', { id, username }, dialogueMs)
        } finally {
          clients.delete(id)
        }
      },
      end() {
        clients.delete(id)
        link.tell('end', { id })
      },
    }
  }
}
