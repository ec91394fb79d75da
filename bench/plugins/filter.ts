// The plugin that `npm run bench plugins` measures: an address filter made with the SDK, and as many log lines as asked for.
import { servePlugin } from '../../src/sdk.ts'

const [lines = '0'] = process.argv.slice(2)

await servePlugin({
  ipfilter: { check: async ({ address }) => (address === '' ? { allowed: false } : { allowed: true }) },
})
const text = Buffer.from('[INFO] a line as plugins write them, with some words in it\n'.repeat(500))
let left = Number(lines)
const next = (): void => {
  left -= 500
  if (left >= 0) process.stderr.write(text, next)
}
next()
