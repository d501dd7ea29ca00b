-- +goose Up

-- Refs that were pushed beside branches and tags, and that no upstream got, are
-- taken away by the next sync. Without the digest of the last listing it looks.
UPDATE sync_states SET digest = '';
