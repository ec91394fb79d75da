import { ProtocolError } from './wire.ts'

/** How much may be under way. */
export interface WindowLimits {
  /** Bytes a peer may send at first. */
  readonly firstWindow: number
  /** What the window grows to for a peer far away. */
  readonly mostWindow: number
}

/** Small enough to hold a session of 8 MiB with everything else it has; enough for 60 MB/s at 100 ms. */
export const usualWindows: WindowLimits = { firstWindow: 2 * 1024 * 1024, mostWindow: 6 * 1024 * 1024 }

/** Bytes between two measurements of the way to the peer, at first and where it proved short. */
const oftenMeasured = 512 * 1024
const seldomMeasured = 64 * 1024 * 1024
/** What joins the bytes a peer may send to its channel. */
export interface ReceiveWindowLink {
  /** Asks the peer something that it answers at once; `answered` is called then, or never. */
  ping(answered: () => void): void
  /** Tells the peer that it may send so many bytes more. */
  widen(bytes: number): void
}

/** What one peer may send on a channel: exactly as much as somebody is done with, more for one far away. */
export class ReceiveWindow {
  readonly #limits: WindowLimits
  readonly #link: ReceiveWindowLink
  /** Bytes the peer may still send, and those received that nobody is done with. */
  #open: number
  #unconsumed = 0
  #given = 0
  #target: number
  #measuring = false
  #sinceMeasured = 0
  #measureAfter = oftenMeasured
  #stopped = false

  constructor(limits: WindowLimits, link: ReceiveWindowLink) {
    this.#limits = limits
    this.#link = link
    this.#open = limits.firstWindow
    this.#target = limits.firstWindow
  }

  /** Received bytes that somebody still works on. */
  get unconsumed(): number {
    return this.#unconsumed
  }

  /** Bytes handed on, in total. */
  get given(): number {
    return this.#given
  }

  /** The peer sent so many bytes; throws where it may not. */
  take(length: number): void {
    if (length > this.#open) throw new ProtocolError('More data than the window allows')
    this.#open -= length
  }

  /** Bytes that were taken are handed on, to be told of as consumed later. */
  hand(length: number): void {
    this.#unconsumed += length
    this.#given += length
    this.#measure(length)
  }

  /** So many of the bytes handed on are done with. */
  consumed(length: number): void {
    this.#unconsumed -= length
    if (this.#unconsumed < 0) throw new RangeError('More bytes consumed than were received')
    this.adjust()
  }

  /** Opens the window again where enough of it is used up. */
  adjust(): void {
    const more = this.#target - this.#open - this.#unconsumed
    if (more < this.#target / 4 || this.#stopped) return
    this.#open += more
    this.#link.widen(more)
  }

  /** The peer is told of no more room. */
  stop(): void {
    this.#stopped = true
  }

  /**
   * Gives a peer far away a larger window: where half of it arrives within one round trip, the window is what holds
   * the peer up. Measured now and then while much is coming in and we keep pace.
   */
  #measure(length: number): void {
    this.#sinceMeasured += length
    if (this.#measuring || this.#sinceMeasured < this.#measureAfter) return
    if (this.#target >= this.#limits.mostWindow || this.#unconsumed > this.#target / 2) return
    this.#measuring = true
    this.#sinceMeasured = 0
    this.#link.ping(() => {
      this.#measuring = false
      const farAway = this.#sinceMeasured > this.#target / 2
      if (farAway) this.#target = Math.min(this.#target * 2, this.#limits.mostWindow)
      else this.#measureAfter = Math.min(this.#measureAfter * 2, seldomMeasured)
      this.#sinceMeasured = 0
      this.adjust()
    })
  }
}
