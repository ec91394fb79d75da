import type { RunningServer } from './running-server.ts'

/** What a person needs to know at the start, within a screen. */
export function announcement(
  server: Pick<RunningServer, 'addresses' | 'hostKeys' | 'firstAccount' | 'status'>,
  options: { readonly unverified?: readonly string[] } = {},
): string {
  const { version, parts, configuration } = server.status()
  const name = server.firstAccount?.username ?? 'USER'
  const rows: [string, string][] = [
    ...server.addresses.map(({ address, port }): [string, string] => [
      'Listening',
      `${shown(address)}:${port}`,
    ]),
    ...server.hostKeys.map(({ type, fingerprint }): [string, string] => [
      'Host key',
      `${fingerprint} (${type})`,
    ]),
    ...Object.entries(parts)
      .filter(([part]) => part.startsWith('slot '))
      .map(([part, { detail }]): [string, string] => [
        'Plugin slot',
        `${part.slice('slot '.length)}: ${detail}`,
      ]),
    ['Settings', configuration],
  ]
  const first = server.firstAccount
  if (first !== undefined) {
    rows.push([
      'Account',
      `${first.username}   password ${first.password}   (shown this once; only its hash is kept)`,
    ])
  }
  const address = server.addresses[0]
  if (address !== undefined)
    rows.push(['Try it', `sftp -P ${address.port} ${name}@${reachable(address.address)}`])
  const lines = rows.map(([title, text]) => `  ${title.padEnd(12)} ${text}`)
  return `${banner(options.unverified)}\nsftpgo-ts ${version} is ready\n\n${lines.join('\n')}\n\n  Ctrl-C stops it.\n\n`
}

/** Nobody may take a server under development for a real one. */
function banner(unverified: readonly string[] | undefined): string {
  if (unverified === undefined) return ''
  const which = unverified.length === 0 ? 'none is marked "dev"' : unverified.join(', ')
  const lines = [
    'DEVELOPMENT ONLY: started with --dev-plugins',
    `These plugins run whatever their files hold, unverified: ${which}`,
    'Whoever can write those files runs code as this server. It listens on loopback only.',
  ]
  const rule = '!'.repeat(Math.max(...lines.map(({ length }) => length)) + 6)
  return `\n${[rule, ...lines.map((line) => `!! ${line}`), rule].join('\n')}\n`
}

function shown(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}

/** An address that a client on this machine can use. */
function reachable(address: string): string {
  return address === '' || address === '::' || address === '0.0.0.0' ? '127.0.0.1' : address
}
