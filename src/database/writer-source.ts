import { openConnection } from './connection.ts'
import { runWriter } from './writer-thread.ts'

/**
 * The program of the writer's thread, as text.
 *
 * A thread starts from a file or from text. A file would have to be found: as `.js` beside the compiled module,
 * as `.ts` that Node 20 cannot run when tests load the sources, and nowhere at all when somebody bundles the
 * program into one file. The text is the same in all three: two functions that use nothing but their arguments,
 * type-checked like everything else.
 */
export const writerSource: string = `'use strict'
;(${runWriter.toString()})(
  require('node:worker_threads'),
  require('node:module').createRequire,
  ${openConnection.toString()},
)`
