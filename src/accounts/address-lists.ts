import type { Database } from '../database/open-database.ts'
import type { AddressRule } from './dump.ts'
import { createIpSet, parseNetwork, type IpSet } from './ip-set.ts'

/** Lists of networks, from the configuration and by command. */
export interface AddressLists {
  isIn(list: AddressRule['list'], address: string): boolean
  /** Whether the list has any entry. */
  has(list: AddressRule['list']): boolean
  rules(): readonly (AddressRule & { readonly from: 'configuration' | 'command' })[]
  /** Throws a `RangeError` for what is no network. */
  add(rule: AddressRule): Promise<void>
  /** Whether such a rule was there; rules of the configuration are not removed this way. */
  remove(rule: Pick<AddressRule, 'network' | 'list'>): Promise<boolean>
  /** Takes other networks of the configuration. Throws a `RangeError` for what is no network; the old ones then hold. */
  configure(next: ConfiguredLists): void
}

/** Networks that the configuration names. */
export type ConfiguredLists = Readonly<Partial<Record<AddressRule['list'], readonly string[]>>>

/** Reads the lists out of the database and joins those of the configuration. Throws a `RangeError` for a bad network. */
export function createAddressLists(
  database: Database,
  fromSettings: ConfiguredLists,
  now: () => number,
): AddressLists {
  let configured = fromSettings
  const select = database.query<AddressRule>('select network, list, note from address_rule order by network')
  const names = ['allow', 'deny', 'safe'] as const
  let sets = build()

  function build(from = configured): Readonly<Record<AddressRule['list'], IpSet>> {
    const stored = select.all()
    const of = (name: AddressRule['list']): IpSet =>
      createIpSet([
        ...(from[name] ?? []),
        ...stored.filter(({ list }) => list === name).map(({ network }) => network),
      ])
    return { allow: of('allow'), deny: of('deny'), safe: of('safe') }
  }
  return {
    isIn: (list, address) => sets[list].size > 0 && sets[list].has(address),
    has: (list) => sets[list].size > 0,
    rules: () => [
      ...names.flatMap((list) =>
        (configured[list] ?? []).map((network) => ({
          network,
          list,
          note: '',
          from: 'configuration' as const,
        })),
      ),
      ...select.all().map((rule) => ({ ...rule, from: 'command' as const })),
    ],
    async add({ network, list, note }) {
      if (parseNetwork(network) === undefined) throw new RangeError(`Not an address or network: "${network}"`)
      await database.writer.write([
        {
          sql: `insert into address_rule (network, list, note, created_ms) values (?, ?, ?, ?)
                on conflict (network, list) do update set note = excluded.note`,
          values: [network, list, note, now()],
        },
      ])
      sets = build()
    },
    async remove({ network, list }) {
      const { applied } = await database.writer.write([
        {
          sql: 'delete from address_rule where network = ? and list = ?',
          values: [network, list],
          mustChange: true,
        },
      ])
      sets = build()
      return applied
    },
    configure(next) {
      sets = build(next)
      configured = next
    },
  }
}
