import { createInterface } from 'node:readline'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** Longest password line; longer ones are no password. */
const mostBytes = 4096

/**
 * A password from the terminal, asked twice and not shown; or the first line of standard input where that is no
 * terminal. Never from an argument: those are seen by everybody on the machine.
 */
export async function readPassword(): Promise<string> {
  if (!process.stdin.isTTY) return firstLine()
  const first = await askHidden('Password: ')
  if ((await askHidden('Again: ')) !== first)
    throw new CommandError(exitCodes.usage, 'The two passwords are not the same')
  return first
}

async function firstLine(): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk as Buffer) // standard input without encoding gives buffers
    chunks.push(bytes)
    size += bytes.length
    if (bytes.includes(10) || size > mostBytes) break
  }
  const line = Buffer.concat(chunks).toString('utf8').split('\n')[0]?.replace(/\r$/, '') ?? ''
  if (line === '') throw new CommandError(exitCodes.usage, 'Standard input has no password')
  return line
}

function askHidden(question: string): Promise<string> {
  const { stdin, stderr } = process
  stderr.write(question)
  const reader = createInterface({ input: stdin, terminal: false })
  stdin.setRawMode(true)
  return new Promise((resolve, reject) => {
    let text = ''
    const finish = (action: () => void): void => {
      stdin.setRawMode(false)
      stdin.off('data', hear)
      reader.close()
      stderr.write('\n')
      action()
    }
    const hear = (bytes: Buffer): void => {
      for (const letter of bytes.toString('utf8')) {
        if (letter === '\r' || letter === '\n') return finish(() => resolve(text))
        if (letter === '\u0003' || letter === '\u0004')
          return finish(() => reject(new CommandError(exitCodes.usage, 'Given up')))
        if (letter === '\u007f' || letter === '\b') text = text.slice(0, -1)
        else text += letter
      }
    }
    stdin.on('data', hear)
  })
}
