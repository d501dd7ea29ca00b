-- +goose Up

-- What was forgotten on purpose, by the ids of its objects: a purge takes them out of
-- the folder, and nothing but a ref may bring them back. Without rowid, since the key
-- is the whole row and is asked for by both of its columns.
CREATE TABLE forgotten (
    repo_id      TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    object_id    TEXT    NOT NULL,
    forgotten_at INTEGER NOT NULL,
    PRIMARY KEY (repo_id, object_id)
) WITHOUT ROWID;
