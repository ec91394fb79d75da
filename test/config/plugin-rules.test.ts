import { describe, expect, it } from 'vitest'
import { checkConfig } from '../../src/config/load-config.ts'
import { formatProblem } from '../../src/config/problems.ts'

describe('a kms entry', () => {
  it.each([
    ['hashivault', 'VaultTransit'],
    ['awskms', 'AWS'],
    ['ourvault', 'OurVault'],
  ])('may pair the scheme %s with the status %s', (scheme, status) => {
    expect(problemsOf(scheme, status)).toEqual([])
  })

  it('may not pair a known scheme with the status of another', () => {
    expect(problemsOf('hashivault', 'AWS')).toEqual([
      expect.stringContaining('does not belong to the scheme "hashivault": that has "VaultTransit"'),
    ])
  })
})

function problemsOf(scheme: string, status: string): string[] {
  const options = JSON.stringify({ scheme, encrypted_status: status })
  const text = `{ "plugins": [{ "type": "kms", "cmd": "keeper", "sha256sum": "${'0'.repeat(64)}", "kms_options": ${options} }] }`
  const { problems } = checkConfig({ file: '/nowhere/one.json', text, environment: {} })
  return problems.map(formatProblem)
}
