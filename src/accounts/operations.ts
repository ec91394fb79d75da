import type { Actor } from './account-changes.ts'
import { AccountError } from './account-error.ts'
import type { AddressLists } from './address-lists.ts'
import type { Defender } from './defender.ts'
import type { AddressRule } from './dump.ts'
import { parseNetwork, plainAddress } from './ip-set.ts'
import type { DumpImporter } from './import-dump.ts'
import type { AddressManager } from './manage-addresses.ts'
import type { UserManager } from './manage-users.ts'
import { readRecord, type RecordReader } from './record-reader.ts'
import type { LiveSessions } from './session-guard.ts'
import type { Stories } from './story.ts'

/** What can be asked about accounts, by name: over the control socket, or by a command itself where no server runs. */
export type AccountOperations = Readonly<Record<string, (input: unknown) => Promise<unknown>>>

/** What the operations act on. */
export interface OperationsOptions {
  readonly manager: UserManager
  readonly addresses: AddressManager
  readonly importDump: DumpImporter
  readonly lists: AddressLists
  readonly defender: Defender
  readonly stories: Stories
  /** Undefined where no server runs. */
  readonly sessions: () => LiveSessions | undefined
}

/** Creates the operations. Inputs are checked here: they come from another process. */
export function createAccountOperations(options: OperationsOptions): AccountOperations {
  const { manager, addresses, importDump, lists, defender, stories } = options
  const live = (): LiveSessions => {
    const sessions = options.sessions()
    if (sessions === undefined)
      throw new AccountError('not-found', 'No server runs, so there are no sessions')
    return sessions
  }
  return {
    'user list': async () => manager.list(),
    'user show': on((input) => manager.show(input.text('username'), input.flag('complete'))),
    'user add': on((input) => {
      const password = input.text('password')
      const record = objectOf(input.raw('record'))
      const secret = password === '' ? {} : { password }
      return manager.add({ username: input.text('username'), ...secret, record }, actor(input))
    }),
    'user set': on((input) =>
      manager.set(input.text('username'), objectOf(input.raw('changes')), actor(input)),
    ),
    'user passwd': on((input) =>
      manager.setPassword(input.text('username'), input.text('password'), actor(input)),
    ),
    'user key add': on((input) => manager.addKey(input.text('username'), input.text('key'), actor(input))),
    'user key remove': on((input) =>
      manager.removeKey(input.text('username'), input.text('key'), actor(input)),
    ),
    'user totp add': on((input) => manager.addTotp(input.text('username'), input.text('kind'), actor(input))),
    'user totp remove': on((input) => manager.removeTotp(input.text('username'), actor(input))),
    'user disable': on((input) => manager.setStatus(input.text('username'), 0, actor(input))),
    'user enable': on((input) => manager.setStatus(input.text('username'), 1, actor(input))),
    'user remove': on((input) => manager.remove(input.text('username'), actor(input))),
    'user import': on((input) =>
      importDump(
        JSON.stringify(objectOf(input.raw('dump'))),
        { addOnly: input.flag('addOnly') },
        actor(input),
      ),
    ),
    'user sessions': on(async (input) => {
      const username = input.text('username')
      const connections = await live().connections()
      return connections.filter(
        (one) => one.username !== undefined && (username === '' || one.username === username),
      )
    }),
    'user disconnect': on((input) => {
      const [username, connection] = [input.text('username'), input.text('connection')]
      if (username === '' && connection === '')
        throw new AccountError('invalid', 'Name a user or a connection')
      const ended = live().disconnect(
        connection === '' ? { username } : { connection },
        'Disconnected by the administrator',
      )
      if (ended === 0) throw new AccountError('not-found', 'There is no such session')
      return { ended }
    }),
    why: on((input) => {
      const id = input.text('id')
      const story = stories.find(id)
      if (story !== undefined) return story
      throw new AccountError(
        'not-found',
        `No login "${id}" is remembered; the last two thousand are, until a restart`,
      )
    }),
    'why latest': on((input) => stories.latest(input.integer('limit', { most: 1000 }) || 20)),
    'ban list': async () =>
      defender.hosts().map(({ bannedUntil, ...host }) => ({
        ...host,
        ...(bannedUntil !== undefined && { bannedUntil: new Date(bannedUntil).toISOString() }),
      })),
    'ban add': on(async (input) => {
      const minutes = input.integer('minutes', { most: 60 * 24 * 365 }) || 30
      await defender.ban(addressOf(input), minutes * 60_000)
    }),
    'ban remove': on(async (input) => {
      const address = addressOf(input)
      if (!(await defender.forgive(address)))
        throw new AccountError('not-found', `"${address}" has neither ban nor score`)
    }),
    'address list': async () => lists.rules(),
    'address add': on((input) =>
      addresses.add({ ...ruleOf(input), note: input.text('note', { most: 512 }) }, actor(input)),
    ),
    'address remove': on(async (input) => {
      const rule = { ...ruleOf(input), note: '' }
      if (!(await addresses.remove(rule, actor(input))))
        throw new AccountError(
          'not-found',
          `"${rule.network}" was not put on the ${rule.list} list by command`,
        )
    }),
  }
}

/** Reads the input as an object; the first thing wrong with it ends the operation before anything is done. */
function on(action: (input: RecordReader) => unknown): (input: unknown) => Promise<unknown> {
  return async (raw) =>
    (await action(readRecord(raw ?? {}, '', { problems: new Complaints(), dropped: [] }))) ?? null
}

/** A list of problems that throws with the first. */
class Complaints extends Array<string> {
  override push(...problems: string[]): number {
    throw new AccountError('invalid', problems[0] ?? 'The input is wrong')
  }
}

function actor(input: RecordReader): Actor {
  return { name: input.text('actor', { most: 255 }) || '__system__' }
}

function addressOf(input: RecordReader): string {
  const address = plainAddress(input.text('address'))
  if (parseNetwork(address) === undefined || address.includes('/'))
    throw new AccountError('invalid', `"${address}" is not an address`)
  return address
}

function ruleOf(input: RecordReader): Pick<AddressRule, 'network' | 'list'> {
  const network = input.text('network')
  const list = input.text('list')
  if (parseNetwork(network) === undefined)
    throw new AccountError('invalid', `"${network}" is not an address or network`)
  if (list !== 'allow' && list !== 'deny' && list !== 'safe')
    throw new AccountError('invalid', `"${list}" is not one of allow, deny, safe`)
  return { network, list }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  // Its fields stay unknown; whoever reads them checks them.
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
