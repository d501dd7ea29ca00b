-- +goose Up

-- JSON: the upstream's refs whose names cannot be beside those that are here.
ALTER TABLE sync_states ADD COLUMN skipped_refs TEXT NOT NULL DEFAULT 'null';
