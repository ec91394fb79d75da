/** The names of the variables by which a host tells a plugin how to serve it. */
export const variables = {
  versions: 'PLUGIN_PROTOCOL_VERSIONS',
  minPort: 'PLUGIN_MIN_PORT',
  maxPort: 'PLUGIN_MAX_PORT',
  clientCertificate: 'PLUGIN_CLIENT_CERT',
  socketFolder: 'PLUGIN_UNIX_SOCKET_DIR',
  socketGroup: 'PLUGIN_UNIX_SOCKET_GROUP',
  multiplex: 'PLUGIN_MULTIPLEX_GRPC',
  /** Ours: the entry's `settings` as JSON. Other plugins ignore it. */
  settings: 'SFTPGO_TS_PLUGIN_SETTINGS',
} as const

/** The variable by which a plugin knows which slot is asked. It proves nothing and hides nothing. */
export interface Cookie {
  readonly key: string
  readonly value: string
}

/** What a host tells the plugin it is about to start. */
export interface HostAnnouncement {
  readonly cookie: Cookie
  readonly versions: readonly number[]
  /** Our certificate as PEM; absent without mutual TLS. */
  readonly clientCertificatePem?: string
  /** Where the plugin puts its socket. */
  readonly socketFolder?: string
  readonly socketGroup?: string
  /** The entry's settings; absent: none. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/** The protocol's part of a plugin's environment. It wins over anything else of the same name. */
export function announcementVariables(host: HostAnnouncement): Record<string, string> {
  return {
    [host.cookie.key]: host.cookie.value,
    [variables.minPort]: '10000',
    [variables.maxPort]: '25000',
    [variables.versions]: host.versions.join(','),
    ...(host.clientCertificatePem !== undefined && {
      [variables.clientCertificate]: host.clientCertificatePem,
    }),
    ...(host.socketFolder !== undefined && { [variables.socketFolder]: host.socketFolder }),
    ...(host.socketGroup !== undefined && { [variables.socketGroup]: host.socketGroup }),
    ...(host.settings !== undefined && { [variables.settings]: JSON.stringify(host.settings) }),
  }
}

/** Whether a variable belongs to the protocol: an inherited one must never reach a plugin. */
export function isProtocolVariable(name: string): boolean {
  return name.startsWith('PLUGIN_') || name === variables.settings
}

/** What a plugin reads from its environment. */
export interface PluginSurroundings {
  /** Versions the host has; what is not a number was skipped. */
  readonly versions: readonly number[]
  readonly minPort: number
  readonly maxPort: number
  readonly clientCertificatePem?: string
  readonly socketFolder?: string
  readonly socketGroup?: string
  readonly multiplexAsked: boolean
}

/** Reads the protocol's variables. Throws when a port is not a number or the two are the wrong way round. */
export function readSurroundings(environment: NodeJS.ProcessEnv): PluginSurroundings {
  const value = (name: string): string | undefined => environment[name] || undefined
  const minPort = portOf(variables.minPort, value(variables.minPort))
  const maxPort = portOf(variables.maxPort, value(variables.maxPort))
  if (minPort > maxPort) throw new Error(`"${variables.minPort}" is greater than "${variables.maxPort}"`)
  const clientCertificatePem = value(variables.clientCertificate)
  const socketFolder = value(variables.socketFolder)
  const socketGroup = value(variables.socketGroup)
  return {
    versions: (value(variables.versions) ?? '').split(',').filter(isNumeral).map(Number),
    minPort,
    maxPort,
    multiplexAsked: value(variables.multiplex) !== undefined,
    ...(clientCertificatePem !== undefined && { clientCertificatePem }),
    ...(socketFolder !== undefined && { socketFolder }),
    ...(socketGroup !== undefined && { socketGroup }),
  }
}

/** The highest version both have; without one the plugin's lowest, so that the host can say what does not fit. */
export function negotiateVersion(own: readonly number[], asked: readonly number[]): number {
  const descending = own.toSorted((a, b) => b - a)
  return descending.find((version) => asked.includes(version)) ?? descending.at(-1) ?? 1
}

function portOf(name: string, text: string | undefined): number {
  if (text === undefined) return 0
  const port = Number(text)
  if (!isNumeral(text) || port > 65_535) throw new Error(`"${name}" is not a port`)
  return port
}

function isNumeral(text: string): boolean {
  return /^\d{1,9}$/.test(text)
}
