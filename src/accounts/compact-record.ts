/** Leaves out optional fields that say nothing, so that records stay small and equal when they mean the same. */
export function compact<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  const kept = Object.entries(fields).filter(([key, value]) => required.has(key) || !isZero(value))
  return Object.fromEntries(kept) as T // only fields that T may lack were left out
}

/** The same for records whose every field is optional: a group's zero must not stand for a wish. */
export function withoutZeros<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isZero(value))) as T // T may lack every field
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === '' || value === 0 || value === false) return true
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

const required = new Set([
  ...['id', 'status', 'username', 'name', 'expiration_date', 'home_dir', 'uid', 'gid', 'max_sessions'],
  ...['quota_size', 'quota_files', 'used_quota_size', 'used_quota_files', 'last_quota_update', 'permissions'],
  ...['upload_bandwidth', 'download_bandwidth', 'last_login', 'created_at', 'updated_at', 'filters'],
  ...['filesystem', 'user_settings', 'virtual_path', 'provider'],
])
