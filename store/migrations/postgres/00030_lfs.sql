-- +goose Up

-- Which repositories have which LFS objects. The bytes are files by the object's id,
-- once for all repositories: a fork has rows and no bytes, and what no row names goes
-- after a time.
CREATE TABLE lfs_objects (
    repo_id  TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    oid      TEXT COLLATE "C" NOT NULL,
    size     BIGINT           NOT NULL,
    added_at BIGINT           NOT NULL,
    PRIMARY KEY (repo_id, oid)
);

CREATE INDEX lfs_objects_by_oid ON lfs_objects (oid);

-- Objects that no repository has, and since when that is seen.
CREATE TABLE lfs_unused (
    oid   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since BIGINT           NOT NULL
);

-- Who locks which path. With an upstream, ids are the upstream's.
CREATE TABLE lfs_locks (
    repo_id   TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    id        TEXT COLLATE "C" NOT NULL,
    path      TEXT COLLATE "C" NOT NULL,
    ref       TEXT COLLATE "C" NOT NULL,
    owner     TEXT COLLATE "C" NOT NULL,
    locked_at BIGINT           NOT NULL,
    PRIMARY KEY (repo_id, id)
);

CREATE UNIQUE INDEX lfs_locks_by_path ON lfs_locks (repo_id, path);

-- The elements of an array of JSON, as the table-valued function of SQLite has them, so
-- that statements are the same for both databases. PostgreSQL's own takes objects alone.
-- +goose StatementBegin
CREATE FUNCTION json_each(list text) RETURNS TABLE (value text) LANGUAGE sql IMMUTABLE AS $$
    SELECT json_array_elements_text(list::json)
$$;
-- +goose StatementEnd
