import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

/**
 * Every fenced block of docs/plugins says what becomes of it: `file=PATH` is written, `run` is run and must succeed,
 * `fails=CODE` must end with that code, and `said` must stand in what the block before it printed.
 */
interface Snippet {
  readonly line: number
  readonly mark: string
  readonly text: string
}

type TemporaryDirectory = ReturnType<typeof temporaryDirectory>

const top = resolve(import.meta.dirname, '../..')
const guide = join(top, 'docs/plugins')
// It speaks of an admin's own programs; other tests run what it names.
const narrated = new Set(['running.md'])
const pages = readdirSync(guide).filter((name) => name.endsWith('.md') && !narrated.has(name))

describe('the guide for plugins', () => {
  it('has a page per slot, with the same headings', () => {
    const wanted = ['Contract', 'Types', 'Errors', 'Testing', 'Packaging']
    for (const slot of ['auth', 'notifier', 'kms', 'ipfilter']) {
      const headings = [...readFileSync(join(guide, `${slot}.md`), 'utf8').matchAll(/^## (.*)$/gm)]
      expect(
        headings.map(([, heading]) => heading),
        slot,
      ).toEqual(wanted)
    }
  })

  it.each(pages)('(%s) does what it says', { timeout: 240_000 }, async (page) => {
    const snippets = snippetsOf(readFileSync(join(guide, page), 'utf8'))
    using folder = workplace()
    let printed = ''
    for (const { line, mark, text } of snippets) {
      const place = `${page}:${line}`
      const [, file] = /^\w+ file=(\S+)$/.exec(mark) ?? []
      const [, code] = /^sh fails=(\d+)$/.exec(mark) ?? []
      if (file !== undefined) write(folder.file(file), text)
      else if (mark.endsWith(' said')) expect(printed, place).toContain(text.trim())
      else {
        expect(code !== undefined || mark === 'sh run', `${place} is not marked`).toBe(true)
        const ended = await shell(text, folder)
        printed = ended.output
        expect(ended.status, `${place}: ${printed}`).toBe(Number(code ?? 0))
      }
    }
  })

  it('names only files that are there', () => {
    for (const page of [...pages, ...narrated]) {
      const links = [...readFileSync(join(guide, page), 'utf8').matchAll(/\]\(([^)#]+)[^)]*\)/g)]
      for (const [, link = ''] of links)
        expect(link.startsWith('http') || existsSync(resolve(guide, link)), `${page}: ${link}`).toBe(true)
    }
  })
})

function snippetsOf(text: string): readonly Snippet[] {
  const found = [...text.matchAll(/^```(\S.*)\n([\s\S]*?)^```$/gm)]
  expect(text.match(/^```/gm)?.length ?? 0, 'a fenced block says nothing of itself').toBe(2 * found.length)
  return found.map(({ index, 1: mark = '', 2: body = '' }) => ({
    line: text.slice(0, index).split('\n').length,
    mark,
    text: body,
  }))
}

/** A folder in which the product and the tools of a scaffold are found as after npm install. */
function workplace(): TemporaryDirectory {
  const folder = temporaryDirectory()
  mkdirSync(folder.file('node_modules'))
  symlinkSync(top, folder.file('node_modules/sftpgo-ts'))
  for (const name of ['vitest', '.bin'])
    symlinkSync(join(top, 'node_modules', name), folder.file(`node_modules/${name}`))
  const program = `#!/bin/sh\nexec "${process.execPath}" "${top}/dist/main.js" "$@"\n`
  mkdirSync(folder.file('bin'))
  writeFileSync(folder.file('bin/sftpgo-ts'), program, { mode: 0o755 })
  return folder
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

function shell(
  script: string,
  folder: TemporaryDirectory,
): Promise<{ readonly status: number | null; readonly output: string }> {
  const { VITEST: _, ...own } = process.env
  const env = {
    ...own,
    PATH: `${folder.file('bin')}:${own['PATH'] ?? ''}`,
    NODE_OPTIONS: '',
    ACME_PASSPHRASE: 'a passphrase',
  }
  return new Promise((settle) => {
    const child = spawn('sh', ['-e'], { cwd: folder.path, env, timeout: 120_000 })
    let output = ''
    const add = (text: Buffer): void => {
      output += text.toString('utf8')
    }
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    child.once('close', (status) => settle({ status, output }))
    child.stdin.end(script)
  })
}
