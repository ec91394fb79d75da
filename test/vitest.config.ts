import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'test/fixtures/**'],
    // For what hangs; what is promised about time is measured by the tests themselves.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A wait for a condition ends when it holds; only a failure takes as long as this.
    expect: { poll: { timeout: 10_000 } },
    // Real servers and plugin processes share two cores: more files at once only makes each slower.
    maxWorkers: 2,
    pool: 'forks',
  },
})
