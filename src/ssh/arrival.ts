import type { Socket } from 'node:net'
import type { Admitted, LoginAuthority } from '../accounts/login-conversation.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { ProxyExpectation } from './connection-context.ts'
import { parseGreeting } from './greeting.ts'
import { parseProxyHeader } from './proxy-header.ts'
import { escapedForLog } from './wire.ts'

/** What an arrival needs, and whom it tells. */
export interface ArrivalOptions {
  /** The id of the connection. */
  readonly id: string
  /** As it was accepted: paused. */
  readonly socket: Socket
  readonly proxy: ProxyExpectation
  readonly authority: Pick<LoginAuthority, 'admit'>
  readonly software: string
  readonly log: Logger
  readonly meter: Meter
  /** Takes a place among the connections under this address; false when there is none, and all is over. */
  count(address: string): boolean
  /** From now on bytes are wanted. */
  listen(): void
  greeted(guest: Greeted): void
  /** Nobody we talk to. */
  refused(reason: string): void
}

/** Who said hello. */
export interface Greeted {
  /** What the client calls itself, without `SSH-2.0-`, escaped. */
  readonly clientVersion: string
  /** All that was received, from the first line on. */
  readonly bytes: Buffer
  readonly admission: Admitted
}

/** How far somebody got: the PROXY header, the check of the address, the first line. */
export type ArrivalStage = 'proxy' | 'admission' | 'greeting' | 'over'

/** Times that no setting changes, in milliseconds. */
const proxyHeaderMs = 10_000
const optionalProxyMs = 1_000

/** The time from an accepted socket to the client's first line: nothing of SSH happens in it. */
export class Arrival {
  readonly #options: ArrivalOptions
  #stage: ArrivalStage
  #received: Buffer | undefined
  #admission: Admitted | undefined
  #address = ''

  constructor(options: ArrivalOptions) {
    this.#options = options
    this.#stage = options.proxy === 'none' ? 'admission' : 'proxy'
  }

  get stage(): ArrivalStage {
    return this.#stage
  }

  begin(): void {
    const { socket } = this.#options
    if (this.#stage === 'admission') return this.#enter()
    if (!this.#options.count(this.#proxied() ? '' : socketAddress(socket))) return
    this.#options.listen()
    socket.resume()
  }

  data(chunk: Buffer): void {
    this.#received = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk])
    switch (this.#stage) {
      case 'proxy':
        return this.#readProxyHeader(this.#received)
      case 'greeting':
        return this.#readGreeting(this.#received)
      case 'admission':
        this.#options.socket.pause()
        return
      case 'over':
    }
  }

  /** Looks after the time for a PROXY header. */
  sweep(ageMs: number): void {
    if (this.#stage !== 'proxy') return
    if (this.#options.proxy === 'optional' && this.#received === undefined && ageMs > optionalProxyMs)
      return this.#enter()
    if (ageMs > proxyHeaderMs) this.#refuse('proxy-header', 'no PROXY header in time')
  }

  /** The connection is over. */
  close(): void {
    this.#stage = 'over'
    this.#received = undefined
  }

  #proxied(): boolean {
    return this.#options.proxy === 'optional' || this.#options.proxy === 'required'
  }

  #readProxyHeader(bytes: Buffer): void {
    const header = parseProxyHeader(bytes)
    const { proxy } = this.#options
    switch (header.at) {
      case 'incomplete':
        return
      case 'malformed':
        return this.#refuse('proxy-header', 'malformed PROXY header')
      case 'absent':
        if (proxy === 'required') return this.#refuse('proxy-header', 'no PROXY header')
        return this.#enter()
      case 'present': {
        const rest = bytes.subarray(header.length)
        this.#received = rest.length > 0 ? rest : undefined
        return this.#enter(proxy === 'ignored' ? undefined : header.address)
      }
    }
  }

  /** Counts the connection under its real address and asks whether that may connect. */
  #enter(said?: string): void {
    const { id, socket, authority, log } = this.#options
    this.#stage = 'admission'
    socket.pause()
    const address = said === undefined ? socketAddress(socket) : plainAddress(said)
    this.#address = address
    if (!this.#options.count(address)) return
    authority.admit(address, id).then(
      (admission) => {
        if (this.#stage !== 'admission') return
        if (admission.admitted) {
          this.#admission = admission
          return this.#greet()
        }
        this.#options.refused(admission.reason)
      },
      (error: unknown) => {
        log.error('address could not be checked', { error: messageOf(error) })
        this.#refuse('check-failed', 'address could not be checked')
      },
    )
  }

  #greet(): void {
    const { socket, software, proxy } = this.#options
    this.#stage = 'greeting'
    socket.write(`SSH-2.0-${software}\r\n`)
    if (proxy === 'none') this.#options.listen()
    socket.resume()
    if (this.#received !== undefined) this.#readGreeting(this.#received)
  }

  #readGreeting(bytes: Buffer): void {
    const greeting = parseGreeting(bytes)
    const admission = this.#admission
    if (greeting.at === 'incomplete' || admission === undefined) return
    if (greeting.at === 'refused') {
      const { reason } = greeting
      this.#options.log.debug('connection refused', { address: this.#address, reason })
      return this.#refuse('first-line', reason)
    }
    this.close()
    this.#options.greeted({ clientVersion: escapedForLog(greeting.version), bytes, admission })
  }

  #refuse(by: 'proxy-header' | 'check-failed' | 'first-line', reason: string): void {
    if (this.#stage === 'over') return
    this.#options.meter.add('sftpgo_connections_refused_total', 1, { by })
    this.#options.refused(reason)
  }
}

/** Where a socket comes from; behind a proxy that is the proxy. */
export function socketAddress(socket: Socket): string {
  return plainAddress(socket.remoteAddress ?? '')
}

/** An address as people write it: IPv4 inside IPv6 is IPv4. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
