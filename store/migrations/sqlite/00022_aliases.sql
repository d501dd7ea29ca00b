-- +goose Up

-- Names that repositories had before they were renamed. They lead to the repository until
-- another one has the name.
CREATE TABLE repository_aliases (
    org        TEXT    NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    repo_id    TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX repository_aliases_by_repo ON repository_aliases (repo_id);
