import semver from 'semver'

/** Whether a version is in an npm range. A pre-release is, where it lies between the ends: somebody chose it by name. */
export function isInRange(version: string, range: string): boolean {
  return semver.satisfies(version, range, { includePrerelease: true })
}

/** Whether `version` is newer than `other`. */
export function isNewer(version: string, other: string): boolean {
  return semver.gt(version, other)
}
