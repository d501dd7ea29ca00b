-- +goose Up

-- What a repository with lfs = mirror has still to fetch from its upstream. A row goes
-- when the object is here. missing is 1 once the host has said that it does not have it;
-- class and error are of the last attempt.
CREATE TABLE lfs_pending (
    repo_id  TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    oid      TEXT COLLATE "C" NOT NULL,
    size     BIGINT           NOT NULL,
    path     TEXT COLLATE "C" NOT NULL,
    found_at BIGINT           NOT NULL,
    attempts BIGINT           NOT NULL DEFAULT 0,
    next_at  BIGINT           NOT NULL DEFAULT 0,
    missing  BIGINT           NOT NULL DEFAULT 0,
    class    TEXT COLLATE "C" NOT NULL DEFAULT '',
    error    TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (repo_id, oid)
);

CREATE INDEX lfs_pending_by_time ON lfs_pending (repo_id, next_at);

-- The commits whose pointers have been looked for already, so that a scan reads only
-- what came since, also after a crash.
CREATE TABLE lfs_tips (
    repo_id TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    tip     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repo_id, tip)
);

-- When pointers were last looked for, and what the round under way began with: it ends
-- when nothing is pending but what the host does not have. round_at is 0 between rounds.
CREATE TABLE lfs_mirrors (
    repo_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    scanned_at    BIGINT           NOT NULL DEFAULT 0,
    round_at      BIGINT           NOT NULL DEFAULT 0,
    round_objects BIGINT           NOT NULL DEFAULT 0,
    round_bytes   BIGINT           NOT NULL DEFAULT 0
);
