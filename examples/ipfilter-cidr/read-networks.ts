import { readFile } from 'node:fs/promises'
import { BlockList, isIP } from 'node:net'

/** Reads a list of networks. Throws with the number of the line that is none: half a list protects nobody. */
export async function readNetworks(file: string): Promise<BlockList> {
  const networks = new BlockList()
  for (const [index, line] of (await readFile(file, 'utf8')).split('\n').entries()) {
    const network = line.replace(/#.*/, '').trim()
    if (network !== '') addNetwork(networks, network, index + 1)
  }
  return networks
}

function addNetwork(networks: BlockList, network: string, line: number): void {
  const [address = '', length] = network.split('/')
  const version = isIP(address)
  const bits = length === undefined ? (version === 6 ? 128 : 32) : Number(length)
  const fits = /^\d+$/.test(length ?? '0') && bits <= (version === 6 ? 128 : 32)
  if (version === 0 || !fits) throw new Error(`Line ${line} is no network`)
  networks.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4')
}
