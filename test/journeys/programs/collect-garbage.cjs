// Loaded into a server with NODE_OPTIONS=--require: collects garbage every twenty seconds, so that what the process holds is
// what it keeps. A pause of the collector is then still too rare to be the hundredth part of what a session feels.
const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const { isMainThread } = require('node:worker_threads')

if (isMainThread) {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  setInterval(() => collect(), 20_000).unref()
}
