import { isIP, isIPv6 } from 'node:net'
import { servePlugin } from 'sftpgo-ts/sdk'
import { readNetworks } from './read-networks.ts'

/** As settings.schema.json says. */
interface Settings {
  readonly file: string
  readonly listed: 'allow' | 'deny'
}

await servePlugin<Settings>(async ({ settings: { file, listed }, log }) => {
  let networks = await readNetworks(file)
  return {
    ipfilter: {
      async check({ address }) {
        if (isIP(address) === 0) return { allowed: false, reason: 'No address' }
        const found = networks.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
        if (found === (listed === 'allow')) return { allowed: true }
        return { allowed: false, reason: found ? 'On the list' : 'Not on the list' }
      },
      async reload() {
        networks = await readNetworks(file)
        log.info('Read the networks again', { count: networks.rules.length })
      },
    },
  }
})
