/** One step from an older shape of the database to a newer one. Never changed once it is released. */
export interface Migration {
  /** Its number and what it brings: `010-events`. Steps run in the order of the list, each once. */
  readonly name: string
  readonly sql: string
}
