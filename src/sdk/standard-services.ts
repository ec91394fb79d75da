import { HealthCheckResponse_ServingStatus, HealthDefinition } from '../gen/health.ts'
import { GRPCBrokerDefinition } from '../gen/plugin/broker.ts'
import { GRPCControllerDefinition } from '../gen/plugin/controller.ts'
import { GRPCStdioDefinition, StdioData_Channel } from '../gen/plugin/stdio.ts'
import { serve, type ServedService } from '../wire/server.ts'
import type { OutputQueue } from './output-queue.ts'
import { reflectionServices } from './reflection.ts'

/** What the services beside the slot need. */
export interface StandardServicesOptions {
  /** What the plugin's code prints. */
  readonly output: OutputQueue
  /** Called when the host asks the plugin to leave, once the answer is on its way. */
  readonly leave: () => void
  /** The full names of the services that fill slots. */
  readonly slotServices: readonly string[]
}

/** The services that every go-plugin host may call: health, controller, stdio, broker and reflection. */
export function standardServices(options: StandardServicesOptions): readonly ServedService[] {
  const services = [health(), controller(options.leave), stdio(options.output), broker()]
  const names = [...services.map(({ description }) => description.fullName), ...options.slotServices]
  return [...services, ...reflectionServices(names)]
}

function health(): ServedService {
  const serving = { status: HealthCheckResponse_ServingStatus.SERVING }
  return serve(HealthDefinition, {
    async check({ service }) {
      if (knownHealthNames.includes(service)) return serving
      throw Object.assign(new Error('unknown service'), { code: notFound })
    },
    async *watch({ service }, { signal }) {
      const known = knownHealthNames.includes(service)
      yield known ? serving : { status: HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN }
      await aborted(signal)
    },
  })
}

function controller(leave: () => void): ServedService {
  return serve(GRPCControllerDefinition, {
    async shutdown() {
      // After the answer is written, so that hosts that wait for it need not guess.
      setTimeout(leave, 20)
      return {}
    },
  })
}

function stdio(output: OutputQueue): ServedService {
  return serve(GRPCStdioDefinition, {
    async *streamStdio(_request, { signal }) {
      for await (const { from, bytes } of output.read(signal)) {
        yield {
          channel: from === 'stdout' ? StdioData_Channel.STDOUT : StdioData_Channel.STDERR,
          data: bytes,
        }
      }
    },
  })
}

/** Stays open and says nothing: no slot has a second connection. */
function broker(): ServedService {
  return serve(GRPCBrokerDefinition, {
    async *startStream(requests, { signal }) {
      const ended = (async () => {
        for await (const _ of requests) continue
      })().catch(() => {})
      await Promise.race([ended, aborted(signal)])
      // A generator without a yield would not be one.
      yield* []
    },
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

// The name that go-plugin's hosts ask for, and the one that means the whole server.
const knownHealthNames: readonly string[] = ['plugin', '']

const notFound = 5
