import {
  expectFailure,
  expectThat,
  expectToEndWhenCancelled,
  oddTexts,
  type ContractCase,
} from '../contract-case.ts'
import type { KeyKeeper, OpenRequest, SealRequest } from './contract.ts'

/** What the cases want to know about a keeper. */
export interface KmsSamples {
  /** A key that it can use, in its own form. Default: empty. */
  readonly url?: string
  readonly masterKey?: string
}

/** The promises of a keeper. */
export const kmsCases: readonly ContractCase<KeyKeeper, KmsSamples>[] = [
  {
    promise: 'opens what it sealed',
    run: (api, samples) => comesBack(api, request(samples, 'a secret')),
  },
  {
    promise: 'does not show what it sealed',
    async run(api, samples) {
      const sealed = await api.seal(request(samples, 'a-secret-that-shows'))
      const written = JSON.stringify(sealed)
      const disguises = (['base64', 'hex', 'utf8'] as const).map((form) => Buffer.from(sealed.payload, form))
      const hidden = disguises.some((bytes) => bytes.includes('a-secret-that-shows'))
      expectThat(
        !written.includes('a-secret-that-shows') && !hidden,
        'The sealed secret holds the secret itself',
      )
      return 'kept'
    },
  },
  {
    promise: 'opens odd secrets',
    async run(api, samples) {
      for (const text of oddTexts.filter((text) => text !== '')) await comesBack(api, request(samples, text))
      return 'kept'
    },
  },
  {
    promise: 'opens a secret of 64 KiB',
    run: (api, samples) => comesBack(api, request(samples, 'x'.repeat(64 * 1024))),
  },
  {
    promise: 'fails with other additional data',
    async run(api, samples) {
      const asked = request(samples, 'a secret')
      const sealed = await api.seal(asked)
      const other = { ...openRequest(asked, sealed), additionalData: 'somebody-else' }
      await expectFailure(api.open(other), 'A secret of one user was opened for another')
      return 'kept'
    },
  },
  {
    promise: 'fails with a changed secret',
    async run(api, samples) {
      const asked = request(samples, 'a secret')
      const sealed = await api.seal(asked)
      const { length } = sealed.payload
      for (const at of [0, Math.floor(length / 2), Math.max(0, length - 8)]) {
        const payload = changedAt(sealed.payload, at)
        const changed = { ...openRequest(asked, sealed), payload }
        await expectFailure(api.open(changed), 'A changed secret was opened')
      }
      return 'kept'
    },
  },
  {
    promise: 'keeps a hundred secrets apart that are sealed and opened at once',
    async run(api, samples) {
      await Promise.all(
        Array.from({ length: 100 }, (_, index) => comesBack(api, request(samples, `secret ${index}`))),
      )
      return 'kept'
    },
  },
  {
    promise: 'survives a question that was given up',
    async run(api, samples) {
      await expectToEndWhenCancelled((signal) => api.seal(request(samples, 'a secret'), { signal }))
      return comesBack(api, request(samples, 'a secret'))
    },
  },
]

/** Another letter that any encoding has at this place. */
function changedAt(text: string, at: number): string {
  return `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
}

async function comesBack(api: KeyKeeper, asked: SealRequest): Promise<'kept'> {
  const opened = await api.open(openRequest(asked, await api.seal(asked)))
  expectThat(opened === asked.payload, 'What was opened is not what was sealed')
  return 'kept'
}

function request({ url = '', masterKey = '' }: KmsSamples, payload: string): SealRequest {
  return { payload, additionalData: 'contract-case', url, masterKey }
}

function openRequest(
  { additionalData, url, masterKey }: SealRequest,
  sealed: Awaited<ReturnType<KeyKeeper['seal']>>,
): OpenRequest {
  return { ...sealed, additionalData, url, masterKey }
}
