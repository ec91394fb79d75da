import { createIpSet } from './ip-set.ts'
import type { User } from './user.ts'

/** What a login or a session is held against. */
export interface Circumstances {
  /** Milliseconds since 1970. */
  readonly now: number
  readonly address: string
  /** SFTPGo's name of the protocol; SFTP is `SSH`. */
  readonly protocol: string
  /** SFTPGo's name of the login method. */
  readonly method: string
  /** Sessions the user has already. */
  readonly sessions: number
  /** Access times are meant in UTC unless the local time is asked for. */
  readonly localTime?: boolean
}

/** Why an account cannot be used at all right now, whoever asks; undefined when it can. */
export function accountProblem(
  user: User,
  { now, localTime }: Pick<Circumstances, 'now' | 'localTime'>,
): string | undefined {
  if (user.status !== 1) return 'The user is disabled'
  if (user.expiration_date > 0 && user.expiration_date < now) return 'The user has expired'
  if (!isAccessTime(user, now, localTime === true)) return 'The user may not log in at this time'
  return undefined
}

/** Why this login is refused although the credential is right, in SFTPGo's order; undefined when it is not. */
export function loginProblem(user: User, circumstances: Circumstances): string | undefined {
  return (
    accountProblem(user, circumstances) ??
    passwordProblem(user, circumstances) ??
    protocolProblem(user, circumstances) ??
    (user.max_sessions > 0 && circumstances.sessions >= user.max_sessions
      ? `The user has ${circumstances.sessions} sessions already`
      : undefined) ??
    (isMethodAllowed(user, circumstances.method)
      ? undefined
      : `The method "${circumstances.method}" is denied`) ??
    secondFactorProblem(user, circumstances.protocol) ??
    addressProblem(user, circumstances.address)
  )
}

/** Whether the user may log in by this method over SSH. */
export function isMethodAllowed(user: User, method: string): boolean {
  const denied = user.filters.denied_login_methods ?? []
  return !denied.includes(method) && !(method === 'password' && denied.includes('password-over-SSH'))
}

/** What has to follow a proved key: methods of a login in two steps. Empty when the key alone is enough or denied. */
export function nextMethods(user: User): readonly ('password' | 'keyboard-interactive')[] {
  // In two steps only when nothing in one step is left, as in SFTPGo.
  if (['publickey', 'password', 'keyboard-interactive'].some((method) => isMethodAllowed(user, method)))
    return []
  const methods: ('password' | 'keyboard-interactive')[] = []
  if (isMethodAllowed(user, 'publickey+password')) methods.push('password')
  if (isMethodAllowed(user, 'publickey+keyboard-interactive')) methods.push('keyboard-interactive')
  return methods
}

/** Whether the user answers a code after the password in a keyboard dialogue. */
export function hasSecondFactor(user: User, protocol = 'SSH'): boolean {
  const totp = user.filters.totp_config
  return totp?.enabled === true && totp.protocols?.includes(protocol) === true
}

function passwordProblem(user: User, { now, method }: Circumstances): string | undefined {
  if (method === 'publickey') return undefined
  if (user.filters.require_password_change === true) return 'The user must change the password first'
  const days = user.filters.password_expiration ?? 0
  if (days > 0 && (user.last_password_change ?? 0) + days * 86_400_000 < now)
    return 'The password has expired'
  return undefined
}

function protocolProblem(user: User, { protocol }: Circumstances): string | undefined {
  if (user.filters.denied_protocols?.includes(protocol) === true)
    return `The protocol "${protocol}" is denied`
  if (user.filters.is_anonymous === true) return 'Anonymous users may not log in over SSH'
  return undefined
}

function secondFactorProblem(user: User, protocol: string): string | undefined {
  if (user.filters.two_factor_protocols?.includes(protocol) !== true) return undefined
  return hasSecondFactor(user, protocol) ? undefined : 'The user must set up a second factor first'
}

/** An allowed network wins over a denied one; with allowed ones only, all others are refused. */
function addressProblem(user: User, address: string): string | undefined {
  const { allowed_ip: allowed = [], denied_ip: denied = [] } = user.filters
  if (allowed.length === 0 && denied.length === 0) return undefined
  if (createIpSet(allowed).has(address)) return undefined
  if (createIpSet(denied).has(address) || allowed.length > 0)
    return 'The user may not log in from this address'
  return undefined
}

function isAccessTime(user: User, now: number, local: boolean): boolean {
  const periods = user.filters.access_time ?? []
  if (periods.length === 0) return true
  const date = new Date(now)
  const [day, hours, minutes] = local
    ? [date.getDay(), date.getHours(), date.getMinutes()]
    : [date.getUTCDay(), date.getUTCHours(), date.getUTCMinutes()]
  const time = `${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`
  return periods.some(({ day_of_week, from, to }) => day_of_week === day && from <= time && time <= to)
}
