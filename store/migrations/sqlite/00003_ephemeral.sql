-- +goose Up

-- When an ephemeral branch was pushed last is in the journal, among entries of
-- everything else.
CREATE INDEX journal_ephemeral ON journal (repo_id, id) WHERE namespace = 'ephemeral';
