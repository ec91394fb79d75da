import { BinaryReader } from '@bufbuild/protobuf/wire'
import { PluginError } from '../base/errors.ts'
import type { MethodDescription } from './service.ts'

/** Reads an answer. Throws `malformed-reply` for bytes that are no such message, text that is not UTF-8 included. */
export function decodeReply<M extends MethodDescription>(
  method: M,
  bytes: Uint8Array,
): ReturnType<M['responseType']['decode']> {
  try {
    return method.responseType.decode(strictReader(bytes))
  } catch (cause) {
    throw new PluginError('malformed-reply', `The answer to "${method.name}" cannot be read`, { cause })
  }
}

/** A reader that takes text only as proto3 defines it: the generated code would replace what is not UTF-8 in silence. */
export function strictReader(bytes: Uint8Array): BinaryReader {
  return new BinaryReader(bytes, (text) => strict.decode(text))
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
