import type { Migration } from './migration.ts'

/**
 * Who exists, and who may not connect.
 *
 * A record is one JSON text without its counters. Those have a table of their own, so that counting never rewrites
 * a record, changing a record never loses a count, and users kept in a file are counted too.
 */
export const accounts: Migration = {
  name: '020-accounts',
  sql: `
    create table account_user (
      id integer primary key autoincrement,
      username text not null unique,
      record text not null
    ) strict;

    create table account_group (
      id integer primary key autoincrement,
      name text not null unique,
      record text not null
    ) strict;

    create table account_folder (
      id integer primary key autoincrement,
      name text not null unique,
      record text not null
    ) strict;

    create table account_usage (
      kind text not null check (kind in ('user', 'folder')),
      name text not null,
      used_quota_size integer not null default 0,
      used_quota_files integer not null default 0,
      last_quota_update integer not null default 0,
      last_login integer not null default 0,
      first_download integer not null default 0,
      first_upload integer not null default 0,
      used_upload_data_transfer integer not null default 0,
      used_download_data_transfer integer not null default 0,
      primary key (kind, name)
    ) strict, without rowid;

    create table address_rule (
      network text not null,
      list text not null check (list in ('allow', 'deny', 'safe')),
      note text not null,
      created_ms integer not null,
      primary key (network, list)
    ) strict, without rowid;

    create table defender_host (
      address text primary key,
      banned_until_ms integer not null,
      ban_count integer not null,
      seen_ms integer not null
    ) strict, without rowid;

    create table defender_event (
      id integer primary key,
      address text not null,
      score integer not null,
      at_ms integer not null
    ) strict;
    create index defender_event_address on defender_event (address, at_ms);
  `,
}
