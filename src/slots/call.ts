/** What travels beside every question to a plugin. */
export interface Call {
  /** Fires when nobody waits for the answer any more. */
  readonly signal?: AbortSignal
  /** Sent as gRPC metadata; plugins that do not know a name ignore it. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** A plugin's "no". It is an answer; a plugin that could not answer throws a `PluginError` instead. */
export interface Refusal {
  /** For the log, never for the client. */
  readonly reason: string
  /**
   * False when the plugin answered with a status that says nothing (UNKNOWN, as SFTPGo's plugins do for a wrong
   * password and for a directory that is down alike): this attempt is refused, but it alone bans nobody.
   */
  readonly certain: boolean
}
