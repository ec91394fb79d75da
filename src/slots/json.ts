import { PluginError } from '../base/errors.ts'

/** A JSON object, doubted until now. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Reads a JSON object out of bytes. Throws `malformed-reply` or `too-large`. */
export function parseJsonObject(bytes: Uint8Array, limitBytes: number): JsonObject {
  if (bytes.length > limitBytes) {
    throw new PluginError('too-large', `The object has ${bytes.length} bytes and ${limitBytes} are allowed`)
  }
  const value = parsed(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notAnObject()
  // A key of this name would become the object's prototype when the object is copied.
  if (Object.hasOwn(value, '__proto__')) throw notAnObject()
  // An object that is no array has string keys.
  return value as JsonObject
}

/** An object as JSON in bytes. */
export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw notAnObject(cause)
  }
}

function notAnObject(cause?: unknown): PluginError {
  return new PluginError('malformed-reply', 'The answer is not a JSON object', { cause })
}
