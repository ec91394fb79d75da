import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { PacketCiphers } from '../../native/packet-ciphers.ts'
import { message } from '../messages.ts'
import type { Parts } from './private-parts.ts'

/**
 * Loads ssh2 beside any copy that the embedding program uses: our changes stay ours, and nothing of the installed
 * files is touched. Its client, agent and SFTP code is never loaded.
 */
export function loadPrivately(ciphers: PacketCiphers | undefined): Parts {
  const require = createRequire(import.meta.url)
  const folder = join(dirname(require.resolve('ssh2/package.json')), 'lib')
  // node:module has had this function since its beginning; ssh2's `require` of its binding goes through it.
  const loader = require('node:module') as { _load: (request: string, ...rest: unknown[]) => unknown }
  const original = loader._load
  const theirs = takeFromCache(require, folder)
  loader._load = function load(request: string, ...rest: unknown[]): unknown {
    if (request.endsWith('sshcrypto.node')) {
      if (ciphers === undefined) throw new Error('No packet ciphers')
      return ciphers
    }
    // A second compiled binding, which only says whether the processor knows AES.
    if (request === 'cpu-features') throw new Error('Not needed')
    return original.call(this, request, ...rest)
  }
  try {
    const load = (file: string): never => require(join(folder, file)) as never
    const kex: { KexInit: Parts['KexInit']; onKEXPayload: (state: object, payload: Buffer) => unknown } =
      load('protocol/kex.js')
    const utils: { sendPacket: Parts['sendPacket']; doFatalError: (protocol: object, text: string) => void } =
      load('protocol/utils.js')
    const handlers: Parts['handlers'] = load('protocol/handlers.js')
    resolveLateRequires(kex, utils)
    const keys: { parseKey: Parts['parseKey'] } = load('protocol/keyParser.js')
    return {
      Protocol: load('protocol/Protocol.js'),
      KexInit: kex.KexInit,
      handlers,
      constants: load('protocol/constants.js'),
      crypto: load('protocol/crypto.js'),
      sendPacket: utils.sendPacket,
      parseKey: keys.parseKey,
    }
  } finally {
    loader._load = original
    takeFromCache(require, folder)
    Object.assign(require.cache, theirs)
  }
}

/** Says at start, in words, that another version of the library came in. The self-test then tries the rest. */
export function checkParts(parts: Parts): void {
  const prototype = parts.Protocol.prototype as Record<string, unknown>
  const missing = ['parse', 'rekey', 'cleanup', 'disconnect'].filter(
    (name) => typeof prototype[name] !== 'function',
  )
  if (typeof parts.handlers[message.kexInit] !== 'function') missing.push('handlers[20]')
  if (typeof parts.sendPacket !== 'function') missing.push('sendPacket')
  if (!Array.isArray(parts.constants.SUPPORTED_KEX)) missing.push('SUPPORTED_KEX')
  if (missing.length > 0)
    throw new Error(
      `Cannot use this version of ssh2: ${missing.join(', ')} changed. Version 1.17.0 is the one we know`,
    )
}

function takeFromCache(require: NodeJS.Require, folder: string): NodeJS.Dict<NodeJS.Module> {
  const taken: NodeJS.Dict<NodeJS.Module> = {}
  for (const [name, module] of Object.entries(require.cache)) {
    if (!name.startsWith(folder)) continue
    taken[name] = module
    delete require.cache[name]
  }
  return taken
}

/** Two files require a third one only when they first need it; by then our copy is no longer in the cache. */
function resolveLateRequires(
  kex: { onKEXPayload: (state: object, payload: Buffer) => unknown },
  utils: { doFatalError: (protocol: object, text: string) => void },
): void {
  const nobody = { _packetRW: { read: { read: (payload: Buffer) => payload } }, _handlers: {} }
  kex.onKEXPayload.call(nobody, {}, Buffer.of(message.ignore, 0, 0, 0, 0))
  utils.doFatalError({ disconnect() {}, _destruct() {}, _onError() {} }, 'nobody')
}
