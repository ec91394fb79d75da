/**
 * The stream an SFTP session talks over: an SSH channel, a pair of pipes, standard input and output.
 *
 * The session registers itself once with `start`; the stream then hands it bytes and tells it when there is room.
 */
export interface ByteStream {
  start(receiver: ByteReceiver): void
  /**
   * Takes bytes to send, in order. The buffer belongs to the stream until it is sent: see `copies`.
   * False means: enough for now, wait for `room`.
   *
   * `sent` is given only where `copies` is false, and called once the buffer may be used again. A stream that
   * cannot tell may leave it uncalled: the buffer is then not used again.
   */
  send(bytes: Buffer, sent?: () => void): boolean
  /**
   * Memory for `length` bytes that are sent next, so that they need not be copied; it is given up with the next call of
   * this stream. `later`: they could leave at once after the next `room`. Undefined: send them as ever.
   */
  lend?(length: number): StreamRoom | 'later' | undefined
  /** True when `send` has copied (or sent) its bytes on return, so that the caller may reuse the buffer at once. */
  readonly copies: boolean
  /** Bytes taken by `send` that the peer's window or the socket has not accepted yet. */
  readonly queuedBytes: number
  /**
   * Says that `bytes` more of what was received are done with; the peer may send as many again. A packet is done
   * with as a whole, so the peer must be free to send 512 KiB at least before anything is consumed.
   */
  consumed(bytes: number): void
  /** Nothing more will be sent; the stream ends in order, with the exit status where it has one. */
  end(exitStatus: number): void
}

/** Memory of a stream, in which bytes are sent from where they lie. */
export interface StreamRoom {
  /** One after another, as the bytes will travel. */
  readonly pieces: readonly Buffer[]
  /** Sends the first `length` bytes of it. False means as for `send`. */
  send(length: number): boolean
}

/** What a session offers its stream. */
export interface ByteReceiver {
  /** Bytes from the peer, cut anywhere. They stay unchanged until `consumed`. */
  data(bytes: Buffer): void
  /** There is room to send again. */
  room(): void
  /** The peer sends nothing more; what it asked is still answered. */
  ended(): void
  /** The stream is gone; nothing can be sent. */
  closed(): void
  /**
   * How many of the latest bytes given to `data` may still be looked at; none of those before is. Undefined while that
   * cannot be told. A stream uses it to read into the same memory again.
   */
  readonly lookedAt?: number | undefined
}
