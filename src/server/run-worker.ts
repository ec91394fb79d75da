import { messageOf } from '../base/errors.ts'
import type { AskedOfWorker, LinkToPrimary, ToldToWorker, WorkerStart } from '../cluster/contract.ts'
import { openWorkerEnd } from '../cluster/worker-end.ts'
import { openLogger } from '../telemetry/logger.ts'
import { type FrontWorker, openFrontWorker } from './front-worker.ts'

/**
 * The life of a worker: it speaks SSH and moves files, and asks the primary for all that is decided for everybody.
 * It begins with the primary's word and ends with it. Arguments: its number and the format of its log lines.
 */
export function runWorker([number = '', format = '']: readonly string[]): void {
  process.on('unhandledRejection', (error) => {
    process.stderr.write(`unhandled rejection: ${messageOf(error)}\n`)
  })
  const text = format === 'text' || format === 'json' ? format : 'auto'
  const log = openLogger({ level: 'info', format: text, fields: { worker: Number(number) } })
  let worker: FrontWorker | undefined
  const running = (): FrontWorker => {
    if (worker === undefined) throw new Error('This worker has not been started')
    return worker
  }
  // The primary is this very program, so what it sends has the types of the contract.
  const on =
    <K extends keyof AskedOfWorker>(action: (input: AskedOfWorker[K][0]) => Promise<AskedOfWorker[K][1]>) =>
    (input: unknown) =>
      action(input as AskedOfWorker[K][0])
  const take =
    <K extends keyof ToldToWorker>(action: (news: ToldToWorker[K]) => void) =>
    (news: unknown) =>
      action(news as ToldToWorker[K])
  const link: LinkToPrimary = openWorkerEnd(
    {
      answers: {
        start: on<'start'>(async (start: WorkerStart) => {
          worker = await openFrontWorker(start, link, log)
          return worker.listening()
        }),
        replace: on<'replace'>((input) => running().replace(input)),
        connections: on<'connections'>(async () => running().connections()),
        page: on<'page'>(({ id, page }) => running().show(id, page)),
        measure: on<'measure'>(async () => running().measure()),
        close: on<'close'>(({ graceMs }) => running().close(graceMs)),
      },
      news: {
        take: take<'take'>((news) => running().take(news)),
        disconnect: take<'disconnect'>((news) => running().disconnect(news)),
        wanted: take<'wanted'>((news) => running().setWanted(news)),
        usage: take<'usage'>((news) => running().takeUsage(news)),
        board: take<'board'>((news) => running().takeBoard(news)),
        lives: take<'lives'>((news) => running().setLives(news)),
      },
    },
    log,
  )
}
