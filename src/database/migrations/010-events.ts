import type { Migration } from './migration.ts'

/**
 * What happened and who has still to hear it.
 *
 * `outbox` is written once and stays until retention takes it; `delivery` has one row per notifier that is still
 * owed the event, in the order in which that notifier's streams are read.
 */
export const events: Migration = {
  name: '010-events',
  sql: `
    create table event_intent (
      event_id text primary key,
      payload text not null,
      expectation text not null,
      created_ms integer not null
    ) strict, without rowid;

    create table outbox (
      seq integer primary key autoincrement,
      event_id text not null unique,
      stream text not null,
      action text not null,
      payload text not null,
      created_ms integer not null,
      owed integer not null
    ) strict;
    create index outbox_told on outbox (created_ms) where owed = 0;

    create table delivery (
      notifier text not null,
      stream text not null,
      seq integer not null,
      attempts integer not null default 0,
      primary key (notifier, stream, seq)
    ) strict, without rowid;

    create table parked (
      notifier text not null,
      seq integer not null,
      attempts integer not null,
      reason text not null,
      since_ms integer not null,
      primary key (notifier, seq)
    ) strict, without rowid;

    create table event_audit (
      id integer primary key,
      at_ms integer not null,
      action text not null,
      detail text not null
    ) strict;

    create table event_signal (
      id integer primary key check (id = 1),
      generation integer not null
    ) strict;
    insert into event_signal (id, generation) values (1, 0);
  `,
}
