-- +goose Up

-- What was found wrong with the folder of a repository, and what became of it. The
-- id is the name of the quarantined folder as well, so that the row exists before
-- anything is moved, and a crash in between leaves no folder without an account.
CREATE TABLE damages (
    id       TEXT    NOT NULL PRIMARY KEY,
    repo_id  TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    state    TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    missing  INTEGER NOT NULL,
    released INTEGER NOT NULL,
    found_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    carried  INTEGER NOT NULL,
    lost     TEXT    NOT NULL -- JSON array of {ref, id}
) STRICT;

CREATE INDEX damages_by_repo ON damages (repo_id, id);
CREATE INDEX damages_open ON damages (id) WHERE ended_at = 0;
