-- +goose Up

-- What an organisation may use, as JSON; what is not in it has no limit.
ALTER TABLE orgs ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';

-- What an operator has switched at run time, by name: a restart must not switch it back.
CREATE TABLE switches (
    name  TEXT    NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL,
    text  TEXT    NOT NULL
) STRICT;
