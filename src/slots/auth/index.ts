import { AuthDefinition } from '../../gen/slots/auth.ts'
import { defineSlot } from '../slot.ts'
import { authCases } from './cases.ts'
import { answerAsAuthenticator, askAuthenticator } from './mapping.ts'

/** Who may log in. */
export const auth = defineSlot({
  name: 'auth',
  service: AuthDefinition,
  cookie: { key: 'SFTPGO_PLUGIN_AUTH', value: 'd1ed507d-d2be-4a38-a460-6fe0b2cc7efc' },
  versions: [1],
  callTimeoutMs: 5_000,
  optionsKey: 'auth_options',
  connect: askAuthenticator,
  handlers: answerAsAuthenticator,
  cases: authCases,
})
