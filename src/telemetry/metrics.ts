/** A metric: what kind it is, what it counts, and its labels with the values they may have. */
export interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Label names. A label takes at most 100 different values; what comes after is counted as `other`. */
  readonly labels: readonly string[]
}

/** Every metric of the server. What is not here is not exported; a test holds the source against this table. */
export const metrics = {
  sftpgo_connections: gauge('Connections open now'),
  sftpgo_connections_half_open: gauge('Connections that are not logged in'),
  sftpgo_connections_total: counter('Connections accepted'),
  sftpgo_connections_refused_total: counter(
    'Connections refused before the key exchange, by who or what refused',
    ['by'],
  ),
  sftpgo_connections_evicted_total: counter('Connections not logged in that had to make room for newer ones'),
  sftpgo_connections_broken_total: counter('Connections ended because the client broke the protocol', [
    'during',
  ]),
  sftpgo_login_grace_lapses_total: counter(
    'Connections that were not logged in in time, by how far they got',
    ['at'],
  ),
  sftpgo_key_exchanges_total: counter('Key exchanges completed', ['kex']),
  sftpgo_auth_requests_total: counter('Authentication requests on the wire by method and answer', [
    'method',
    'answer',
  ]),
  sftpgo_sessions: gauge('SFTP sessions open now'),
  sftpgo_sessions_total: counter('SFTP sessions opened'),
  sftpgo_logins_total: counter('Login attempts by method and verdict', ['method', 'verdict']),
  sftpgo_login_seconds: histogram('Time to decide a login', ['method']),
  sftpgo_transfers_total: counter('Uploads and downloads by outcome', ['direction', 'outcome']),
  sftpgo_transfer_bytes_total: counter('Bytes of file content moved', ['direction']),
  sftpgo_operations_total: counter('SFTP requests by operation and status', ['operation', 'status']),
  sftpgo_operation_seconds: histogram(
    'Time to carry a request out; of reads and writes the first of each file and then one in 64',
    ['operation'],
  ),
  sftpgo_plugin_calls_total: counter('Calls to plugins by slot and outcome', ['slot', 'outcome']),
  sftpgo_plugin_call_seconds: histogram('Time of calls to plugins', ['slot']),
  sftpgo_plugin_state: gauge('1 for the state an instance is in, 0 for the others', ['instance', 'state']),
  sftpgo_plugin_starts_total: counter('Starts of plugin processes by outcome', ['instance', 'outcome']),
  sftpgo_events_written_total: counter('Events written down', ['action']),
  sftpgo_events_waiting: gauge('Events waiting for a notifier', ['notifier']),
  sftpgo_events_parked: gauge('Events parked for a notifier', ['notifier']),
  sftpgo_events_parked_total: counter('Events that were parked', ['notifier']),
  sftpgo_events_dropped_total: counter('Events that promise nothing and were not kept', ['action']),
  sftpgo_events_oldest_seconds: gauge('Age of the oldest event that waits for a notifier', ['notifier']),
  sftpgo_event_delivery_seconds: histogram('Time of a delivery to a notifier', ['notifier', 'outcome']),
  sftpgo_workers: gauge('Processes that speak SSH, where there are several'),
  sftpgo_workers_lost: gauge('Worker processes that ended by themselves since the start, and were replaced'),
  sftpgo_worker_resident_bytes: gauge('Memory of a worker process', ['worker']),
  sftpgo_worker_cpu_seconds: gauge('CPU time of a worker process since its start', ['worker']),
  sftpgo_log_lines_dropped: gauge('Log lines given up because standard error was blocked'),
  sftpgo_inline_calls_moved_total: counter(
    'Times that calls of a disk turned slow and went from the main thread to the pool, by kind of call',
    ['calls'],
  ),
  sftpgo_event_loop_delay_seconds: gauge('Delay of the event loop since the last reading', ['quantile']),
} as const satisfies Readonly<Record<string, Metric>>

/** The page `docs/metrics.md`. */
export function metricsPage(): string {
  const rows = Object.entries<Metric>(metrics).map(([name, { kind, help, labels }]) => {
    return `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${help} |`
  })
  return ['| name | kind | labels | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

function counter(help: string, labels: readonly string[] = []): Metric {
  return { kind: 'counter', help, labels }
}

function gauge(help: string, labels: readonly string[] = []): Metric {
  return { kind: 'gauge', help, labels }
}

function histogram(help: string, labels: readonly string[] = []): Metric {
  return { kind: 'histogram', help, labels }
}
