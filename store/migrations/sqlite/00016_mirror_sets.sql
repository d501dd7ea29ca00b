-- +goose Up

-- Owners at hosts whose repositories are mirrored all together.
CREATE TABLE mirror_sets (
    id            TEXT    NOT NULL PRIMARY KEY,
    org           TEXT    NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    provider      TEXT    NOT NULL,
    public        INTEGER NOT NULL,
    host          TEXT    NOT NULL,
    owner         TEXT    NOT NULL,
    owner_path    TEXT    NOT NULL, -- in lower case
    prefix        TEXT    NOT NULL, -- of the names of its repositories here
    include       TEXT    NOT NULL, -- JSON array of patterns
    exclude       TEXT    NOT NULL, -- JSON array of patterns
    archived      INTEGER NOT NULL,
    forks         INTEGER NOT NULL,
    credential_id TEXT    NOT NULL, -- of a shared credential; "": none
    follow        INTEGER NOT NULL,
    next_look_at  INTEGER NOT NULL, -- 0: never
    looked_at     INTEGER NOT NULL, -- end of the last complete look
    failures      INTEGER NOT NULL, -- in a row
    last_error    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (org, host, owner_path)
) STRICT;

CREATE INDEX mirror_sets_due ON mirror_sets (next_look_at) WHERE next_look_at > 0;

-- What a look found, by the stable id of the host. The repository is not referred to:
-- one that is deleted here stays known, and is not made again.
CREATE TABLE mirror_set_entries (
    set_id      TEXT    NOT NULL REFERENCES mirror_sets (id) ON DELETE CASCADE,
    upstream_id TEXT    NOT NULL,
    path        TEXT    NOT NULL, -- at the host
    name        TEXT    NOT NULL, -- of the repository here
    repo_id     TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    seen_at     INTEGER NOT NULL,
    gone_at     INTEGER NOT NULL, -- 0: the host lists it
    PRIMARY KEY (set_id, upstream_id)
) STRICT;
