import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import type { ConfigErrorCode } from '../base/errors.ts'
import type { Settings } from '../gen/settings.ts'
import { checkPlugins } from './plugin-rules.ts'
import type { Problem, SettingPath } from './problems.ts'

type RuleProblem = Omit<Problem, 'place'>

/** What must hold between settings, and between settings and the machine: the checks a schema cannot say. */
export function checkRules(settings: Settings): RuleProblem[] {
  return [
    ...networkProblems(settings),
    ...bindingProblems(settings),
    ...fileProblems(settings),
    ...secretProblems(settings),
    ...checkPlugins(settings),
  ]
}

function problem(path: SettingPath, code: ConfigErrorCode, message: string): RuleProblem {
  return { path, code, message }
}

function networkProblems({ common }: Settings): RuleProblem[] {
  const lists: [SettingPath, readonly string[]][] = [
    [['common', 'proxy_allowed'], common.proxy_allowed],
    [['common', 'proxy_skipped'], common.proxy_skipped],
    [['common', 'allow_list'], common.allow_list],
    [['common', 'deny_list'], common.deny_list],
    [['common', 'defender', 'safe_list'], common.defender.safe_list],
  ]
  const problems = lists.flatMap(([path, list]) =>
    list.flatMap((text, index) =>
      isNetwork(text)
        ? []
        : [
            problem(
              [...path, index],
              'out-of-range',
              `must be an address or a network such as "10.0.0.0/8", not "${text}"`,
            ),
          ],
    ),
  )
  if (common.proxy_protocol === 2 && common.proxy_allowed.length === 0) {
    const message = 'must list the proxies: with proxy_protocol 2 and nobody allowed every client is refused'
    problems.push(problem(['common', 'proxy_allowed'], 'conflict', message))
  }
  if (common.defender.entries_soft_limit >= common.defender.entries_hard_limit) {
    const message = 'must be less than entries_hard_limit'
    problems.push(problem(['common', 'defender', 'entries_soft_limit'], 'conflict', message))
  }
  return problems
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

function bindingProblems({ sftpd, telemetry }: Settings): RuleProblem[] {
  if (sftpd.bindings.length === 0) {
    return [
      problem(
        ['sftpd', 'bindings'],
        'missing-key',
        'must have at least one element: where the server listens',
      ),
    ]
  }
  const taken = new Map<string, SettingPath>()
  const problems: RuleProblem[] = []
  const places: [SettingPath, string, number][] = sftpd.bindings.map((binding, index) => [
    ['sftpd', 'bindings', index, 'port'],
    binding.address,
    binding.port,
  ])
  if (telemetry.bind_port !== 0)
    places.push([['telemetry', 'bind_port'], telemetry.bind_address, telemetry.bind_port])
  for (const [path, address, port] of places) {
    const key = `${address} ${port}`
    const first = taken.get(key)
    if (port !== 0 && first !== undefined) {
      problems.push(problem(path, 'conflict', `port ${port} of the same address is taken by another setting`))
    }
    taken.set(key, path)
  }
  return problems
}

function fileProblems({ sftpd, telemetry, kms, data_provider: provider }: Settings): RuleProblem[] {
  const files: [SettingPath, string][] = [
    ...sftpd.trusted_user_ca_keys.map((file, index): [SettingPath, string] => [
      ['sftpd', 'trusted_user_ca_keys', index],
      file,
    ]),
    [['sftpd', 'revoked_user_certs_file'], sftpd.revoked_user_certs_file],
    [['sftpd', 'login_banner_file'], sftpd.login_banner_file],
    [['telemetry', 'auth_user_file'], telemetry.auth_user_file],
    [['telemetry', 'certificate_file'], telemetry.certificate_file],
    [['telemetry', 'certificate_key_file'], telemetry.certificate_key_file],
    [['kms', 'secrets', 'master_key_path'], kms.secrets.master_key_path],
    [['data_provider', 'users_file'], provider.users_file],
  ]
  const problems = files
    .filter(([, file]) => file !== '' && !isFile(file))
    .map(([path, file]) =>
      problem(path, 'file-unreadable', `names "${file}", which is not a file that can be read`),
    )
  if ((telemetry.certificate_file === '') !== (telemetry.certificate_key_file === '')) {
    const missing = telemetry.certificate_file === '' ? 'certificate_file' : 'certificate_key_file'
    problems.push(
      problem(['telemetry', missing], 'missing-key', 'is missing: a certificate and its key come together'),
    )
  }
  return problems
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** A file that is there and gives no text; what is not there is told elsewhere. */
function isBlank(path: string): boolean {
  if (!isFile(path)) return false
  try {
    return readFileSync(path, 'utf8').trim() === ''
  } catch {
    return true
  }
}

function secretProblems({ kms }: Settings): RuleProblem[] {
  const { master_key: key, master_key_path: path } = kms.secrets
  if (path === '') return []
  if (isBlank(path))
    return [
      problem(
        ['kms', 'secrets', 'master_key_path'],
        'file-unreadable',
        `names "${path}", which is empty or cannot be read: secrets would be sealed without a master key`,
      ),
    ]
  if (key === '') return []
  return [
    problem(
      ['kms', 'secrets', 'master_key'],
      'conflict',
      'is given here and by master_key_path; keep one of them',
    ),
  ]
}
