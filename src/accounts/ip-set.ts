import { BlockList, isIP } from 'node:net'

/** Addresses and networks, asked by address. */
export interface IpSet {
  readonly size: number
  /** Whether `address` (without port) lies in one of the networks. Anything that is no address lies in none. */
  has(address: string): boolean
}

/** Creates a set out of addresses and CIDR networks. Throws a `RangeError` naming the first that is neither. */
export function createIpSet(networks: readonly string[]): IpSet {
  const list = new BlockList()
  for (const text of networks) {
    const network = parseNetwork(text)
    if (network === undefined) throw new RangeError(`Not an address or network: "${text.slice(0, 60)}"`)
    list.addSubnet(network.address, network.prefix, network.family)
  }
  return {
    size: networks.length,
    has(address) {
      const plain = plainAddress(address)
      const family = isIP(plain)
      return family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6')
    },
  }
}

/** An address range. */
export interface Network {
  readonly address: string
  readonly prefix: number
  readonly family: 'ipv4' | 'ipv6'
}

/** The network that `text` names ("10.0.0.0/8", "::1"); undefined when it names none. */
export function parseNetwork(text: string): Network | undefined {
  const cut = text.indexOf('/')
  const address = plainAddress(cut < 0 ? text : text.slice(0, cut))
  const version = isIP(address)
  if (version === 0 || address.includes('%')) return undefined
  const most = version === 4 ? 32 : 128
  const prefix = cut < 0 ? most : prefixOf(text.slice(cut + 1))
  if (prefix === undefined || prefix > most) return undefined
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/** IPv4 where an IPv6 socket says `::ffff:1.2.3.4`, so that one client has one address. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return mapped?.[1] ?? address
}

function prefixOf(text: string): number | undefined {
  return /^\d{1,3}$/.test(text) ? Number(text) : undefined
}
