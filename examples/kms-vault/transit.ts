import { failure, type KeyKeeper } from 'sftpgo-ts/sdk'

/** Where Vault is and which key is used when an address names none. */
export interface TransitSettings {
  readonly url: string
  readonly token: string
  /** Where the transit engine is mounted. Default `transit`. */
  readonly mount: string
  readonly key: string
}

/** Reads settings of the plugin's entry. Throws with a sentence that names what is missing. */
export function readTransitSettings(value: unknown): TransitSettings {
  // Each field is looked at.
  const { url, token, mount = 'transit', key = '' } = (value ?? {}) as Record<string, unknown>
  if (typeof url !== 'string' || !/^https?:\/\//.test(url)) throw new Error('settings.url is no http address')
  if (typeof token !== 'string' || token === '') throw new Error('settings.token is missing')
  if (typeof mount !== 'string' || typeof key !== 'string')
    throw new Error('settings.mount or key is no text')
  return { url: url.replace(/\/+$/, ''), token, mount, key }
}

/** Longest wait for Vault, shorter than the host's for us: the host then hears why. */
const timeoutMs = 10_000
/** A sealed secret is little longer than the secret; what is much longer is no answer of Vault. */
const mostAnswerBytes = 1 << 20

/** Seals with the key of an address (`hashivault://KEY`, or any other scheme), bound to the additional data. */
export function createTransit(settings: TransitSettings, leaving: AbortSignal): KeyKeeper {
  const ask = async (
    action: 'encrypt' | 'decrypt',
    address: string,
    body: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<Record<string, unknown>> => {
    const key = keyOf(address) || settings.key
    if (key === '') throw new Error(`Neither the address "${address}" nor the settings name a key`)
    const url = `${settings.url}/v1/${settings.mount}/${action}/${encodeURIComponent(key)}`
    const ends = [leaving, AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])]
    let response: Response
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: { 'x-vault-token': settings.token, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.any(ends),
        redirect: 'error',
      })
    } catch (cause) {
      throw failure(`Vault at ${settings.url} cannot be reached`, cause)
    }
    const answer = await readAnswer(response)
    if (response.ok) return dataOf(answer)
    const said = `Vault answered ${response.status} for the key "${key}": ${errorsOf(answer)}`
    // Sealed, standby or overloaded: it may answer later. The rest is its no: no such key, no right to it.
    if (response.status >= 500 || response.status === 429) throw failure(said)
    throw new Error(said)
  }
  return {
    async seal({ payload, additionalData, url }, call) {
      const plaintext = Buffer.from(payload).toString('base64')
      const data = await ask('encrypt', url, { plaintext, ...bound(additionalData) }, call?.signal)
      return { payload: textOf(data, 'ciphertext'), key: '', mode: 0 }
    },
    async open({ payload, additionalData, url }, call) {
      const data = await ask('decrypt', url, { ciphertext: payload, ...bound(additionalData) }, call?.signal)
      return Buffer.from(textOf(data, 'plaintext'), 'base64').toString('utf8')
    },
  }
}

/** What Vault authenticates with the secret: opening needs the same. */
function bound(additionalData: string): { associated_data?: string } {
  return additionalData === '' ? {} : { associated_data: Buffer.from(additionalData).toString('base64') }
}

function keyOf(address: string): string {
  return /^[^:]*:\/\/(.*)$/.exec(address)?.[1] ?? ''
}

async function readAnswer(response: Response): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > mostAnswerBytes) throw failure('Vault answered with too much')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    return undefined
  }
}

function dataOf(answer: unknown): Record<string, unknown> {
  const data: unknown = typeof answer === 'object' && answer !== null && 'data' in answer ? answer.data : {}
  // Its fields stay unknown.
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {}
}

function textOf(data: Readonly<Record<string, unknown>>, field: string): string {
  const value = data[field]
  if (typeof value === 'string') return value
  throw failure(`Vault answered without "${field}"`)
}

function errorsOf(answer: unknown): string {
  const errors: unknown = typeof answer === 'object' && answer !== null && 'errors' in answer && answer.errors
  return Array.isArray(errors) ? errors.join('; ').slice(0, 500) : 'no reason'
}
