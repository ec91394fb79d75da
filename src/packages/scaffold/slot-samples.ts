import type { ScaffoldSlot } from './scaffold-options.ts'

/** What a new plugin of a slot does at first, in words and in the samples that its tests use. */
export interface SlotSample {
  readonly does: string
  readonly settings: Readonly<Record<string, unknown>>
  /** Samples for the contract kit, and settings to run with: `fixtures.json`. */
  readonly fixtures: {
    readonly settings: Readonly<Record<string, unknown>>
    readonly samples: Readonly<Record<string, unknown>>
  }
}

/** Where each slot's plugin begins. */
export const slotSamples: Readonly<Record<ScaffoldSlot, SlotSample>> = {
  auth: {
    does: 'lets the users of its settings in',
    settings: {
      users: setting('object', 'Names and passwords.', {
        additionalProperties: { type: 'string' },
        default: { demo: 'demo' },
      }),
      home: setting('string', 'Folder that holds their homes.', { default: '/tmp/acme-homes' }),
    },
    fixtures: {
      settings: { users: { ada: 'engine' } },
      samples: { accepted: { username: 'ada', password: 'engine' } },
    },
  },
  notifier: {
    does: 'writes a line for every finished upload',
    settings: { greeting: setting('string', 'What the line begins with.', { default: 'uploaded' }) },
    fixtures: { settings: { greeting: 'received' }, samples: {} },
  },
  kms: {
    does: 'seals secrets with a key from its settings',
    settings: {
      passphrase: setting('string', 'What the key is made of; give a long one.', {
        minLength: 8,
        'x-secret': true,
      }),
    },
    fixtures: { settings: { passphrase: 'a passphrase for tests' }, samples: {} },
  },
  ipfilter: {
    does: 'keeps the addresses of its settings out',
    settings: {
      refused: setting('array', 'Addresses that may not connect.', {
        items: { type: 'string' },
        default: [],
      }),
    },
    fixtures: {
      settings: { refused: ['192.0.2.1'] },
      samples: { allowed: '192.0.2.2', refused: '192.0.2.1' },
    },
  },
}

function setting(
  type: string,
  description: string,
  more: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return { type, description, ...more }
}
