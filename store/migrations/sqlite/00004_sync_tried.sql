-- +goose Up

-- Served does not tell a failed run from one that has not ended.
ALTER TABLE sync_states ADD COLUMN tried INTEGER NOT NULL DEFAULT 0;
UPDATE sync_states SET tried = served;
