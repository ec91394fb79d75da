import { failure, servePlugin } from 'sftpgo-ts/sdk'
import { readAnswer } from './answer.ts'

/** As settings.schema.json says. */
interface Settings {
  readonly url: string
  readonly token: string
  readonly timeout_ms: number
}

await servePlugin<Settings>(({ settings: { url, token, timeout_ms } }) => ({
  auth: {
    async checkPassword({ username, password, address, protocol }, call) {
      const limits = [AbortSignal.timeout(timeout_ms), ...(call?.signal ? [call.signal] : [])]
      const response = await fetch(url, {
        method: 'POST',
        redirect: 'error',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ username, password, address, protocol }),
        signal: AbortSignal.any(limits),
      }).catch((cause: unknown) => {
        throw failure('The API does not answer', cause)
      })
      return readAnswer(username, response)
    },
  },
}))
