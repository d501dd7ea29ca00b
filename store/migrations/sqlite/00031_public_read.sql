-- +goose Up

-- Who may read an upstream, as its host said when it was last asked: 'public', 'private',
-- or '' where it was not, or does not say. What is not public there is not read without a
-- token here.
ALTER TABLE upstreams ADD COLUMN visibility TEXT NOT NULL DEFAULT '';

-- Whoever reads without a token names no organisation, so names are looked for in all.
CREATE INDEX repositories_by_name ON repositories (name);
CREATE INDEX repository_aliases_by_name ON repository_aliases (name);
