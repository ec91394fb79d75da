import { failure, type Verdict } from 'sftpgo-ts/sdk'

/** 200 lets in whom the body describes, 401 and 403 are a "no"; all else is an API that could not answer. */
export async function readAnswer(username: string, response: Response): Promise<Verdict> {
  if (response.status === 401 || response.status === 403)
    return { granted: false, reason: `The API says ${response.status}` }
  if (response.status !== 200) throw failure(`The API says ${response.status}`)
  const body: unknown = await response.json().catch((cause: unknown) => {
    throw failure('The answer of the API is not JSON', cause)
  })
  const { home, permissions } = Object(body) as Readonly<Record<string, unknown>> // each looked at below
  if (typeof home !== 'string' || !Array.isArray(permissions)) throw failure('The API says no home or rights')
  return { granted: true, user: { username, homeDirectory: home, permissions: permissions.map(String) } }
}
