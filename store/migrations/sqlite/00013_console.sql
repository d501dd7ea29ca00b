-- +goose Up

-- Links that sign the machine's owner in to the console, by the hash of their secret.
CREATE TABLE console_links (
    hash       TEXT    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- Who is signed in, by the hash of the cookie's secret.
CREATE TABLE console_sessions (
    id         TEXT    NOT NULL PRIMARY KEY,
    hash       TEXT    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    org        TEXT    NOT NULL, -- '' for the owner
    subject    TEXT    NOT NULL,
    identity   BLOB    NOT NULL, -- JSON: what the token says
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- How the mirrors were, minute by minute, for seven days. An organisation is not referred
-- to: '' is all of them together.
CREATE TABLE console_minutes (
    org           TEXT    NOT NULL,
    at            INTEGER NOT NULL,
    fresh         INTEGER NOT NULL,
    syncing       INTEGER NOT NULL,
    failing       INTEGER NOT NULL,
    held          INTEGER NOT NULL,
    waiting       INTEGER NOT NULL,
    lag_median    INTEGER NOT NULL, -- microseconds, like those that follow
    lag_most      INTEGER NOT NULL,
    lag_max       INTEGER NOT NULL,
    pushes_ok     INTEGER NOT NULL,
    pushes_failed INTEGER NOT NULL,
    push_time     INTEGER NOT NULL,
    push_slowest  INTEGER NOT NULL,
    succeeded     INTEGER NOT NULL,
    unchanged     INTEGER NOT NULL,
    syncs_failed  INTEGER NOT NULL,
    syncs_held    INTEGER NOT NULL,
    PRIMARY KEY (org, at)
) STRICT, WITHOUT ROWID;

CREATE INDEX console_minutes_by_age ON console_minutes (at);

-- The longest lag of each mirror by quarters of an hour: a row a minute of each would be
-- ten million for a thousand mirrors.
CREATE TABLE console_lags (
    repo_id TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    lag     INTEGER NOT NULL, -- microseconds
    PRIMARY KEY (repo_id, at)
) STRICT, WITHOUT ROWID;

CREATE INDEX console_lags_by_age ON console_lags (at);
