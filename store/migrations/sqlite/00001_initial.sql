-- Migrations are append-only: change the schema with a new file, never here.
--
-- Times are microseconds since 1970 UTC, 0 = no time. JSON is TEXT. Booleans
-- are 0 or 1. Ids are a prefix and a ULID, so ordering by id is ordering by age.

-- +goose Up

CREATE TABLE orgs (
    name       TEXT    NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    org         TEXT    NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    key_id      TEXT    NOT NULL,
    algorithm   TEXT    NOT NULL,
    public_pem  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    disabled_at INTEGER NOT NULL
) STRICT;

CREATE INDEX keys_by_org ON keys (org, created_at);

CREATE TABLE repositories (
    id             TEXT    NOT NULL PRIMARY KEY,
    org            TEXT    NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    name           TEXT    NOT NULL,
    -- The name in lower case as Go sees it: the databases disagree on what
    -- lower case is outside ASCII.
    search_name    TEXT    NOT NULL,
    default_branch TEXT    NOT NULL,
    object_format  TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    UNIQUE (org, name)
) STRICT;

CREATE INDEX repositories_by_age ON repositories (org, id);

CREATE TABLE upstreams (
    repo_id        TEXT NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    provider       TEXT NOT NULL,
    instance       TEXT NOT NULL,
    mode           TEXT NOT NULL,
    host           TEXT NOT NULL,
    owner          TEXT NOT NULL,
    name           TEXT NOT NULL,
    upstream_id    TEXT NOT NULL,
    url            TEXT NOT NULL,
    default_branch TEXT NOT NULL
) STRICT;

CREATE TABLE sync_states (
    repo_id         TEXT    NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    wanted          INTEGER NOT NULL,
    served          INTEGER NOT NULL,
    wanted_ref      TEXT    NOT NULL,
    -- The generation and ref of the last TakeSync; 0 once SaveSync ended it.
    taken           INTEGER NOT NULL,
    taken_ref       TEXT    NOT NULL,
    cause           TEXT    NOT NULL, -- the trigger, which is a reserved word
    next_attempt_at INTEGER NOT NULL,
    failures        INTEGER NOT NULL,
    runs            INTEGER NOT NULL,
    first_synced_at INTEGER NOT NULL,
    last_success_at INTEGER NOT NULL,
    last_error_at   INTEGER NOT NULL,
    last_class      TEXT    NOT NULL,
    last_error      TEXT    NOT NULL,
    digest          TEXT    NOT NULL,
    brake_digest    TEXT    NOT NULL,
    head_checked_at INTEGER NOT NULL
) STRICT;

-- Only the states with work: small, however many repositories there are.
CREATE INDEX sync_states_due ON sync_states (next_attempt_at) WHERE served < wanted;

CREATE TABLE sync_runs (
    id           TEXT    NOT NULL PRIMARY KEY,
    repo_id      TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    cause        TEXT    NOT NULL,
    ref          TEXT    NOT NULL,
    is_first     INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER NOT NULL,
    outcome      TEXT    NOT NULL,
    class        TEXT    NOT NULL,
    error        TEXT    NOT NULL,
    refs_created INTEGER NOT NULL,
    refs_updated INTEGER NOT NULL,
    refs_deleted INTEGER NOT NULL,
    bytes        INTEGER NOT NULL
) STRICT;

CREATE INDEX sync_runs_by_repo ON sync_runs (repo_id, id);
CREATE INDEX sync_runs_unfinished ON sync_runs (id) WHERE finished_at = 0;

CREATE TABLE credentials (
    id         TEXT    NOT NULL PRIMARY KEY,
    repo_id    TEXT    NOT NULL UNIQUE REFERENCES repositories (id) ON DELETE CASCADE,
    username   TEXT    NOT NULL,
    sealed     BLOB    NOT NULL, -- the secret, with id as associated data
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE journal (
    id         TEXT    NOT NULL PRIMARY KEY,
    repo_id    TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    namespace  TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    upstream   INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    updates    TEXT    NOT NULL, -- JSON array of {name, old, new}
    created_at INTEGER NOT NULL,
    closed_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX journal_by_repo ON journal (repo_id, id);
CREATE INDEX journal_open ON journal (id) WHERE state IN ('sent', 'lagging');

-- Events name their repository without a foreign key: they outlive it.
CREATE TABLE events (
    -- AUTOINCREMENT: a reader's position must never be used twice.
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    repo_id    TEXT    NOT NULL,
    org        TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    journal_id TEXT    NOT NULL,
    ref        TEXT    NOT NULL,
    payload    TEXT    NOT NULL, -- JSON
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_by_change ON events (journal_id, ref) WHERE journal_id <> '';
