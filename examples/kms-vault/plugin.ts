import { servePlugin } from 'sftpgo-ts/sdk'
import { createTransit, readTransitSettings } from './transit.ts'

await servePlugin(({ settings, signal }) => ({ kms: createTransit(settings, signal) }), {
  parseSettings: readTransitSettings,
})
