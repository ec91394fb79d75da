/** Who waits for the plugin of a file that is being loaded. Kept where two copies of the SDK find the same one. */
const waiting = Symbol.for('sftpgo-ts.loading-plugin')

type Waiting = { [waiting]?: (plugin: unknown) => void }

/** Hands `plugin` to the test that loads its file; false when nobody does, and the plugin is to be served. */
export function takeLoaded(plugin: unknown): boolean {
  const take = (globalThis as Waiting)[waiting] // our own symbol on the one object that every copy shares
  take?.(plugin)
  return take !== undefined
}

/** Runs `load` and gives what it hands over. Throws when it hands over nothing. */
export async function whileLoading(load: () => Promise<unknown>): Promise<unknown> {
  const shared = globalThis as Waiting // as above
  let loaded: unknown
  shared[waiting] = (plugin) => {
    loaded = plugin
  }
  try {
    await load()
  } finally {
    delete shared[waiting]
  }
  if (loaded === undefined)
    throw new Error('The file was loaded and served no plugin: it has to call servePlugin()')
  return loaded
}
