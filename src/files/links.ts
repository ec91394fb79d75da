import { FileError } from '../base/errors.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { parentOf, type VirtualPath } from '../base/virtual-path.ts'
import type { Access } from './access.ts'
import type { Desk } from './desk.ts'
import { pathOfTarget, saidTarget, storedTarget } from './link-target.ts'
import { seenFrom, type Place } from './mounts.ts'

/** The target of a link, as the person sees it. */
export function readLink(access: Access, path: VirtualPath): Soon<string> {
  const place = access.toSee(path, 'list')
  const { links } = place.mount.backend
  if (links === undefined) throw new FileError('not-a-link', 'Cannot read a link where there are none')
  return whenReady(links.read(place.inside), (stored) => shownTarget(stored, place, access))
}

/** A stored target as the person sees it: one that leads outside only where the home has such a path, too. */
function shownTarget(stored: string, place: Place, access: Access): Soon<string> {
  const said = saidTarget(stored, place)
  if (said.is === 'inside') return said.text
  const { mount } = place
  return recovering(
    () => {
      const seen = seenFrom(mount, said.leadsTo)
      access.toSee(seen)
      return whenReady(mount.backend.attributes(said.leadsTo, { follow: false }), () => seen)
    },
    () => {
      throw new FileError('permission-denied', 'Cannot read a link that leads outside')
    },
  )
}

/** Makes a link whose target lies in the same place, where the policy allows links at all. */
export function symbolicLink(
  { policy, mounts }: Desk,
  access: Access,
  target: string,
  path: VirtualPath,
): Soon<void> {
  const place = access.toMake(path, 'create_symlinks')
  const { links } = place.mount.backend
  if (!policy.symbolicLinks || links === undefined)
    throw new FileError('unsupported', 'Cannot make links here')
  const leadsTo = pathOfTarget(path, target)
  access.require('create_symlinks', parentOf(leadsTo))
  access.toSee(leadsTo)
  if (mounts.placeOf(leadsTo).mount !== place.mount) {
    throw new FileError('unsupported', 'Cannot link between different places')
  }
  return links.symbolic(storedTarget(target, place, leadsTo), place.inside)
}

/** Gives a file a second name in the same place, where the policy allows it. */
export function hardLink(
  { policy }: Desk,
  access: Access,
  existing: VirtualPath,
  path: VirtualPath,
): Soon<void> {
  const source = access.toUse(existing, 'create_symlinks')
  const place = access.toMake(path, 'create_symlinks')
  const { links } = place.mount.backend
  if (!policy.hardLinks || links === undefined) throw new FileError('unsupported', 'Cannot make links here')
  if (source.mount !== place.mount) throw new FileError('unsupported', 'Cannot link between different places')
  return links.hard(source.inside, place.inside)
}
