import { PluginError } from '../../base/errors.ts'
import { jsonBytes, type JsonObject } from '../json.ts'
import type { GrantedUser } from './contract.ts'

/** SFTPGo's user object in our words. Throws `malformed-reply` where it is none. */
export function grantedUserFrom(record: JsonObject): GrantedUser {
  const { username, home_dir: homeDirectory, permissions } = record
  if (typeof username !== 'string' || username === '') throw malformed('username')
  if (!isAbsent(homeDirectory) && typeof homeDirectory !== 'string') throw malformed('home_dir')
  return {
    username,
    record,
    ...(typeof homeDirectory === 'string' && homeDirectory !== '' && { homeDirectory }),
    ...(!isAbsent(permissions) && { permissions: permissionsFrom(permissions) }),
  }
}

/** A granted user as SFTPGo's user object, in bytes. */
export function userBytesOf(user: GrantedUser, asked: string): Buffer {
  if (user.username !== asked) {
    throw new PluginError('failed', `The plugin was asked about "${asked}" and granted another user`)
  }
  const { record, homeDirectory, permissions } = user
  return jsonBytes({
    // SFTPGo lets nobody in without it; an author who wants a user kept out says so.
    status: 1,
    ...record,
    username: user.username,
    ...(homeDirectory !== undefined && { home_dir: homeDirectory }),
    ...(permissions !== undefined && {
      permissions: isList(permissions) ? { '/': permissions } : permissions,
    }),
  })
}

function permissionsFrom(value: unknown): Record<string, readonly string[]> {
  if (typeof value !== 'object' || value === null || isList(value)) throw malformed('permissions')
  const entries = Object.entries(value)
  for (const [, rights] of entries) {
    if (!isList(rights) || !rights.every((right) => typeof right === 'string')) throw malformed('permissions')
  }
  // Each value was just seen to be a list of strings.
  return Object.fromEntries(entries) as Record<string, readonly string[]>
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function malformed(key: string): PluginError {
  return new PluginError('malformed-reply', `The answered user has no usable "${key}"`)
}
