import { generateKeyPairSync } from 'node:crypto'
import ssh2 from 'ssh2'

/** A new RSA key: what a client logs in with, and the line that its account has. */
export function clientKey(): { publicKey: string; privateKey: string } {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
  const parsed = ssh2.utils.parseKey(pem)
  if (parsed instanceof Error) throw parsed
  const [key] = [parsed].flat()
  return { publicKey: `ssh-rsa ${key?.getPublicSSH().toString('base64') ?? ''}`, privateKey: pem }
}
