-- +goose Up

-- Credentials of an organisation, for the repositories of one owner at one host. They
-- are apart from the credentials of single repositories: those go with their
-- repository, these stay.
CREATE TABLE shared_credentials (
    id          TEXT    NOT NULL PRIMARY KEY,
    org         TEXT    NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    provider    TEXT    NOT NULL, -- the word of the wire
    instance    TEXT    NOT NULL,
    host        TEXT    NOT NULL, -- lower case
    owner       TEXT    NOT NULL,
    owner_path  TEXT    NOT NULL, -- in lower case, as hosts compare: what repositories must be below
    username    TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    expires_at  INTEGER NOT NULL, -- as the host says; 0: it does not
    checked_at  INTEGER NOT NULL,
    check_error TEXT    NOT NULL, -- "": it worked
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (org, name)
) STRICT;

-- The secret of before a rotation, which is tried where the host refuses the new one
-- until the overlap has ended.
CREATE TABLE previous_credentials (
    credential_id TEXT    NOT NULL PRIMARY KEY REFERENCES shared_credentials (id) ON DELETE CASCADE,
    username      TEXT    NOT NULL,
    sealed        BLOB    NOT NULL,
    until         INTEGER NOT NULL
) STRICT;

-- Which repository uses which. A credential that is used cannot be deleted.
CREATE TABLE credential_uses (
    repo_id       TEXT    NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    credential_id TEXT    NOT NULL REFERENCES shared_credentials (id),
    assigned_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX credential_uses_by_credential ON credential_uses (credential_id);
