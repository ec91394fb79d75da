import type { ContractCase } from '../contract-case.ts'
import { askAtOnce, expectThat, expectToEndWhenCancelled, unlessMissing } from '../contract-case.ts'
import type { IpFilter } from './contract.ts'

/** What the cases want to know about a filter. */
export interface IpFilterSamples {
  /** An address that may connect. */
  readonly allowed?: string
  /** An address that may not. */
  readonly refused?: string
}

/** The promises of an address filter. */
export const ipFilterCases: readonly ContractCase<Required<IpFilter>, IpFilterSamples>[] = [
  {
    promise: 'lets an allowed address in',
    async run(api, { allowed }) {
      if (allowed === undefined) return { skipped: 'Needs the sample "allowed"' }
      expectThat((await ask(api, allowed)).allowed, `"${allowed}" was refused`)
      return 'kept'
    },
  },
  {
    promise: 'keeps a refused address out, and says so as an answer',
    async run(api, { refused }) {
      if (refused === undefined) return { skipped: 'Needs the sample "refused"' }
      expectThat(!(await ask(api, refused)).allowed, `"${refused}" was let in`)
      return 'kept'
    },
  },
  {
    promise: 'knows an IPv4 address in IPv6 clothes',
    async run(api, { refused }) {
      if (refused?.includes('.') !== true)
        return { skipped: 'Needs the sample "refused" with an IPv4 address' }
      expectThat(!(await ask(api, `::ffff:${refused}`)).allowed, `"::ffff:${refused}" was let in`)
      return 'kept'
    },
  },
  {
    promise: 'answers about any address, and lets in nothing that is none',
    async run(api, { refused }) {
      for (const address of ['192.0.2.1', '2001:db8::1', '::1']) await ask(api, address)
      // A filter that refuses nobody has no lists to be careful with.
      if (refused === undefined) return 'kept'
      for (const address of ['', 'not an address', '999.1.1.1', `${refused}\0`]) {
        const outcome = await ask(api, address).catch(() => ({ allowed: false }))
        expectThat(!outcome.allowed, `${JSON.stringify(address)} was let in`)
      }
      return 'kept'
    },
  },
  {
    promise: 'answers for every protocol',
    async run(api) {
      for (const protocol of ['SSH', 'FTP', 'DAV', 'HTTP'])
        await api.check({ address: '192.0.2.1', protocol })
      return 'kept'
    },
  },
  {
    promise: 'answers two hundred equal questions at once in one way',
    async run(api, { allowed = '192.0.2.1' }) {
      await askAtOnce(200, async () => (await ask(api, allowed)).allowed)
      return 'kept'
    },
  },
  {
    promise: 'survives a question that was given up',
    async run(api, { allowed = '192.0.2.1' }) {
      const before = await ask(api, allowed)
      await expectToEndWhenCancelled((signal) => api.check({ address: allowed, protocol: 'SSH' }, { signal }))
      expectThat(
        (await ask(api, allowed)).allowed === before.allowed,
        `"${allowed}" is answered otherwise now`,
      )
      return 'kept'
    },
  },
  {
    promise: 'answers as before after reading its lists again',
    run: (api, { allowed = '192.0.2.1' }) =>
      unlessMissing('reload', async () => {
        const before = await ask(api, allowed)
        await Promise.all([api.reload(), api.reload(), ask(api, allowed)])
        expectThat(
          (await ask(api, allowed)).allowed === before.allowed,
          `"${allowed}" is answered otherwise now`,
        )
      }),
  },
]

function ask(api: IpFilter, address: string) {
  return api.check({ address, protocol: 'SSH' })
}
