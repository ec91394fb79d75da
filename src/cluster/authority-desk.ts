import type {
  Admitted,
  AskClient,
  LoginAnswer,
  LoginAuthority,
  LoginConversation,
} from '../accounts/login-conversation.ts'
import type { AskedOfPrimary, LinkToWorker } from './contract.ts'
import { type Fields, fieldsOf } from './fields.ts'
import type { HeadCount } from './head-count.ts'

/** Where one worker's connections and logins are decided. */
export interface AuthorityDesk {
  readonly answers: Readonly<
    Record<
      'admit' | 'none' | 'password' | 'queryKey' | 'provedKey' | 'dialogue',
      (input: unknown) => Promise<unknown>
    >
  >
  readonly news: Readonly<Record<'begin' | 'end' | 'left' | 'exceeded', (news: unknown) => void>>
  /** The worker is gone, and with it everybody who was logging in. */
  close(): void
}

/** What the desk decides with. */
export interface AuthorityDeskOptions {
  readonly worker: number
  readonly authority: LoginAuthority
  readonly heads: HeadCount
  readonly link: () => LinkToWorker
}

/** More logins at once than a worker's connections that are not logged in. */
const mostConversations = 10_000
const dialogueMs = 3_600_000

/** Creates it. */
export function createAuthorityDesk({ worker, authority, heads, link }: AuthorityDeskOptions): AuthorityDesk {
  const conversations = new Map<string, LoginConversation>()
  /** How the addresses of connections that have not begun their logins came to be let in. */
  const admitted = new Map<string, Admitted>()
  const conversationOf = (fields: Fields): LoginConversation => {
    const found = conversations.get(fields.text('id'))
    if (found === undefined) throw new TypeError('There is no login of this connection')
    return found
  }
  const decided = async (fields: Fields, answer: Promise<LoginAnswer>): Promise<LoginAnswer> => {
    const heard = await answer
    // Counted before the worker knows: what it does next with this connection is judged with the name.
    if (heard.verdict === 'granted') heads.granted(worker, fields.text('id'), heard.principal)
    return heard
  }
  const on =
    <T>(action: (fields: Fields) => Promise<T>) =>
    async (input: unknown): Promise<T> =>
      action(fieldsOf(input))
  const answers = {
    admit: on(async (fields): Promise<AskedOfPrimary['admit'][1]> => {
      const [id, address] = [fields.text('id'), fields.text('address')]
      const full = heads.enter(worker, id, address)
      if (full !== undefined) {
        if (full.by === 'limit-address') authority.exceeded(address)
        return { admitted: false, reason: full.refused }
      }
      const admission = await authority.admit(address, id)
      if (admission.admitted && heads.isHere(worker, id)) admitted.set(id, admission)
      return admission
    }),
    none: on((fields) => conversationOf(fields).none(fields.text('username'))),
    password: on((fields) =>
      decided(fields, conversationOf(fields).password(fields.text('username'), fields.text('password'))),
    ),
    queryKey: on((fields) => conversationOf(fields).queryKey(fields.text('username'), keyOf(fields))),
    provedKey: on((fields) => {
      const proof = { signedData: fields.bytes('signedData'), signature: fields.bytes('signature') }
      return decided(fields, conversationOf(fields).provedKey(fields.text('username'), keyOf(fields), proof))
    }),
    dialogue: on((fields) => {
      const id = fields.text('id')
      const ask: AskClient = async (page) => (await link().ask('page', { id, page }, dialogueMs)) ?? undefined
      return decided(fields, conversationOf(fields).keyboardInteractive(fields.text('username'), ask))
    }),
  }
  const end = (id: string): void => {
    const conversation = conversations.get(id)
    conversations.delete(id)
    conversation?.end()
  }
  return {
    answers,
    news: {
      begin(news) {
        const fields = fieldsOf(news)
        const id = fields.text('connectionId')
        if (conversations.size >= mostConversations) throw new TypeError('Too many logins at once')
        end(id)
        const admission = admitted.get(id)
        admitted.delete(id)
        conversations.set(
          id,
          authority.begin({
            connectionId: id,
            address: fields.text('address'),
            clientVersion: fields.text('clientVersion'),
            ...(admission !== undefined && { admission }),
          }),
        )
      },
      exceeded: (news) => authority.exceeded(fieldsOf(news).text('address')),
      end: (news) => end(fieldsOf(news).text('id')),
      left(news) {
        const id = fieldsOf(news).text('id')
        admitted.delete(id)
        heads.left(worker, id)
      },
    },
    close() {
      for (const id of [...conversations.keys()]) end(id)
    },
  }
}

function keyOf(fields: Fields): { readonly algorithm: string; readonly blob: Buffer } {
  return { algorithm: fields.text('algorithm'), blob: fields.bytes('blob') }
}
