import type { StoredSecret } from '../secrets/secret.ts'

/** Seals and opens what accounts keep secret; `secrets` fills it. */
export interface SecretBox {
  /** `additionalData` is bound to the secret: SFTPGo uses the user's name. */
  seal(text: string, additionalData: string): Promise<StoredSecret>
  /** The clear text. Rejects when the keeper cannot be asked or the secret was changed. */
  open(secret: StoredSecret): Promise<string>
}

/** `secret` sealed where it came in clear (`Plain`); as it is otherwise. */
export async function sealPlain(box: SecretBox, secret: StoredSecret, name: string): Promise<StoredSecret> {
  return secret.status === 'Plain' && secret.payload !== undefined ? box.seal(secret.payload, name) : secret
}
