-- +goose Up

-- Names that repositories had before they were renamed. They lead to the repository until
-- another one has the name.
CREATE TABLE repository_aliases (
    org        TEXT COLLATE "C" NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    name       TEXT COLLATE "C" NOT NULL,
    repo_id    TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    created_at BIGINT           NOT NULL,
    PRIMARY KEY (org, name)
);

CREATE INDEX repository_aliases_by_repo ON repository_aliases (repo_id);
