-- +goose Up

-- Deleted repositories are kept for a while, with everything that belongs to them. Such a
-- row has given its name away: it has one that no repository can have, and the former one
-- beside it, so that the name is free at once. search_name stays that of the former one.
ALTER TABLE repositories ADD COLUMN deleted_at   BIGINT           NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN kept_until   BIGINT           NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN deleted_name TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Only what is deleted: small, however many repositories there are.
CREATE INDEX repositories_deleted ON repositories (kept_until) WHERE deleted_at > 0;
