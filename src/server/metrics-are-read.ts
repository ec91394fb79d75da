import type { Config } from '../config/load-config.ts'

/** Whether anybody can read the metrics. Asked whenever something would be counted: a reload may change it. */
export function metricsAreRead({ settings }: Config): boolean {
  return settings.telemetry.bind_port !== 0
}
