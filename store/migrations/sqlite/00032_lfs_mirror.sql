-- +goose Up

-- What a repository with lfs = mirror has still to fetch from its upstream. A row goes
-- when the object is here. missing is 1 once the host has said that it does not have it;
-- class and error are of the last attempt.
CREATE TABLE lfs_pending (
    repo_id  TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    oid      TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    path     TEXT    NOT NULL,
    found_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at  INTEGER NOT NULL DEFAULT 0,
    missing  INTEGER NOT NULL DEFAULT 0,
    class    TEXT    NOT NULL DEFAULT '',
    error    TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (repo_id, oid)
) WITHOUT ROWID;

CREATE INDEX lfs_pending_by_time ON lfs_pending (repo_id, next_at);

-- The commits whose pointers have been looked for already, so that a scan reads only
-- what came since, also after a crash.
CREATE TABLE lfs_tips (
    repo_id TEXT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    tip     TEXT NOT NULL,
    PRIMARY KEY (repo_id, tip)
) WITHOUT ROWID;

-- When pointers were last looked for, and what the round under way began with: it ends
-- when nothing is pending but what the host does not have. round_at is 0 between rounds.
CREATE TABLE lfs_mirrors (
    repo_id       TEXT    NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    scanned_at    INTEGER NOT NULL DEFAULT 0,
    round_at      INTEGER NOT NULL DEFAULT 0,
    round_objects INTEGER NOT NULL DEFAULT 0,
    round_bytes   INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
