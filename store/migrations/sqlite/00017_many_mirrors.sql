-- +goose Up

-- How much a repository's folder holds, as it was last measured, and when its refs last
-- moved: listings sort by both, so they cannot be asked of the disk. 0: not yet, or not
-- since this column is here.
ALTER TABLE repositories ADD COLUMN disk_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN disk_measured_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
UPDATE repositories SET changed_at = COALESCE((SELECT s.changed_at FROM sync_states s WHERE s.repo_id = repositories.id), 0);

-- Since when a person has the upstream left alone; 0: it is followed.
ALTER TABLE sync_states ADD COLUMN paused_at INTEGER NOT NULL DEFAULT 0;
-- Whether runs and looks rest, for whatever reason: what the two indexes of due rows ask.
ALTER TABLE sync_states ADD COLUMN idle INTEGER NOT NULL DEFAULT 0;

DROP INDEX sync_states_due;
CREATE INDEX sync_states_due ON sync_states (next_attempt_at) WHERE served < wanted AND idle = 0;
DROP INDEX sync_states_poll;
CREATE INDEX sync_states_poll ON sync_states (poll_at) WHERE poll_at > 0 AND served >= wanted AND idle = 0;
