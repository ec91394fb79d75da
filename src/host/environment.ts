import { basename, extname } from 'node:path'

/** What decides which of the server's variables a plugin sees. */
export interface EnvironmentRules {
  readonly cmd: string
  /** Empty: the prefix derived from `cmd`. `none`: no prefix. `*`: everything. Else that very prefix. */
  readonly envPrefix: string
  /** Further names, exactly. */
  readonly envVars: readonly string[]
  /** Its bytes are not verified anyway: an entry under development in a server started for that. Default false. */
  readonly unverified?: boolean
}

type Variables = Readonly<Record<string, string | undefined>>

/**
 * The whole environment of a plugin: what the entry allows of `own`, then `protocol`, which always wins.
 *
 * A name that is not set is not passed (SFTPGo passes it empty). No `PLUGIN_` variable of ours is ever inherited, none
 * by which a loader or an interpreter runs other code than the verified, and none that weakens it unless `envVars`
 * names it.
 */
export function pluginEnvironment(
  rules: EnvironmentRules,
  own: Variables,
  protocol: Readonly<Record<string, string>>,
): Record<string, string> {
  const named = new Set(rules.envVars)
  const withheld = new Set(withheldNames(rules, own))
  const prefix = prefixOf(rules)
  const allowed = Object.entries(own).filter(([name, value]) => {
    if (value === undefined || name.startsWith('PLUGIN_')) return false
    if (named.has(name)) return !withheld.has(name)
    return prefix !== undefined && name.startsWith(prefix) && !bringsOtherCode(name) && !weakens.has(name)
  })
  // The values are strings, as just checked.
  return { ...(Object.fromEntries(allowed) as Record<string, string>), ...protocol }
}

/** SFTPGo's derived prefix: `/opt/sftpgo-plugin-auth` gives `SFTPGO_PLUGIN_AUTH_`. */
export function derivedPrefix(cmd: string): string {
  const base = basename(cmd)
  const stem = base.slice(0, base.length - extname(base).length)
  return `${stem.toUpperCase().replaceAll('-', '_')}_`
}

/** The prefix in force; empty matches everything, undefined nothing. */
function prefixOf({ cmd, envPrefix }: EnvironmentRules): string | undefined {
  if (envPrefix === 'none') return undefined
  if (envPrefix === '*') return ''
  return envPrefix === '' ? derivedPrefix(cmd) : envPrefix
}

/** The names that `envVars` asks for in vain, for a warning. */
export function withheldNames(
  { envVars, unverified = false }: Pick<EnvironmentRules, 'envVars' | 'unverified'>,
  own: Variables,
): string[] {
  return envVars.filter(
    (name) =>
      own[name] !== undefined && (name.startsWith('PLUGIN_') || (!unverified && bringsOtherCode(name))),
  )
}

/** Variables that make a loader, an interpreter or a library take code from elsewhere: the digest would cover nothing. */
function bringsOtherCode(name: string): boolean {
  return codeVariables.has(name) || /^(?:LD_|DYLD_|PYTHON[A-Z]|RUBY(?:OPT|LIB)|PERL5)/.test(name)
}

const codeVariables = new Set([
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_REPL_EXTERNAL_MODULE', 'NODE_COMPILE_CACHE', 'BASH_ENV', 'ENV'],
  ...['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS', 'CLASSPATH', 'PHPRC', 'PHP_INI_SCAN_DIR'],
  ...[
    'LUA_PATH',
    'LUA_CPATH',
    'LUA_INIT',
    'OPENSSL_CONF',
    'OPENSSL_MODULES',
    'OPENSSL_ENGINES',
    'GCONV_PATH',
  ],
])

/** Variables that take protection away, write secrets down or change the runtime: only for who asks for them by name. */
const weakens = new Set([
  ...[
    'NODE_EXTRA_CA_CERTS',
    'NODE_TLS_REJECT_UNAUTHORIZED',
    'NODE_ICU_DATA',
    'NODE_V8_COVERAGE',
    'SHELLOPTS',
  ],
  ...['SSLKEYLOGFILE', 'GODEBUG', 'LOCPATH', 'GLIBC_TUNABLES', 'MALLOC_CONF'],
])
