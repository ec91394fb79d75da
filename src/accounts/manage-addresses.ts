import type { AccountChanges, Actor } from './account-changes.ts'
import type { AddressLists } from './address-lists.ts'
import type { AddressRule } from './dump.ts'

/** Changes the lists of addresses on an operator's behalf. */
export interface AddressManager {
  /** Puts a network on a list. */
  add(rule: AddressRule, by: Actor): Promise<void>
  /** Takes a network off a list; whether it was there. */
  remove(rule: AddressRule, by: Actor): Promise<boolean>
}

/** Creates the manager. */
export function createAddressManager(lists: AddressLists, changes: AccountChanges): AddressManager {
  const told = (action: 'add' | 'update' | 'delete', rule: AddressRule, by: Actor): Promise<void> =>
    changes.tell({ action, type: 'ip_list_entry', name: rule.network, data: entryOf(rule) }, by)
  return {
    async add(rule, by) {
      const isKnown = lists.rules().some((one) => one.from === 'command' && isSameRule(one, rule))
      await lists.add(rule)
      await told(isKnown ? 'update' : 'add', rule, by)
    },
    async remove(rule, by) {
      const note = lists.rules().find((one) => isSameRule(one, rule))?.note ?? ''
      if (!(await lists.remove(rule))) return false
      await told('delete', { ...rule, note }, by)
      return true
    },
  }
}

function isSameRule(one: AddressRule, other: AddressRule): boolean {
  return one.network === other.network && one.list === other.list
}

/** A rule as SFTPGo's object: lists 1 allow and 2 defender, modes 1 allow and 2 deny. */
function entryOf({ network, list, note }: AddressRule): object {
  const [type, mode] = { allow: [1, 1], deny: [2, 2], safe: [2, 1] }[list]
  return { ipornet: network, description: note, type, mode, protocols: 0 }
}
