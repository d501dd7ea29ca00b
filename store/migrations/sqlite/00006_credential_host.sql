-- +goose Up

-- The only host that a credential is sent to; '' is none yet.
ALTER TABLE credentials ADD COLUMN host TEXT NOT NULL DEFAULT '';
UPDATE credentials SET host = coalesce((SELECT u.host FROM upstreams u WHERE u.repo_id = credentials.repo_id), '');
