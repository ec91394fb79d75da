/** One thing that `doctor` looked at. `warning` costs something; `failure` stops the server, or part of it, from working. */
export interface Finding {
  readonly subject: string
  readonly outcome: 'ok' | 'warning' | 'failure'
  readonly message: string
}

/** Makes findings about one subject. */
export function about(subject: string): Readonly<Record<Finding['outcome'], (message: string) => Finding>> {
  const made =
    (outcome: Finding['outcome']) =>
    (message: string): Finding => ({ subject, outcome, message })
  return { ok: made('ok'), warning: made('warning'), failure: made('failure') }
}
