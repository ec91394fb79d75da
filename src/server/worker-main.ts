import { runWorker } from './run-worker.ts'

runWorker(process.argv.slice(2))
