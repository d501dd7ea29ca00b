-- +goose Up

-- Which repositories have which LFS objects. The bytes are files by the object's id,
-- once for all repositories: a fork has rows and no bytes, and what no row names goes
-- after a time. Without rowid, since the key is most of the row.
CREATE TABLE lfs_objects (
    repo_id  TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    oid      TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (repo_id, oid)
) WITHOUT ROWID;

CREATE INDEX lfs_objects_by_oid ON lfs_objects (oid);

-- Objects that no repository has, and since when that is seen.
CREATE TABLE lfs_unused (
    oid   TEXT    NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL
) WITHOUT ROWID;

-- Who locks which path. With an upstream, ids are the upstream's.
CREATE TABLE lfs_locks (
    repo_id   TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    id        TEXT    NOT NULL,
    path      TEXT    NOT NULL,
    ref       TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    locked_at INTEGER NOT NULL,
    PRIMARY KEY (repo_id, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX lfs_locks_by_path ON lfs_locks (repo_id, path);
