-- +goose Up

-- Since when an organisation is being deleted, repository by repository; 0: it is not. A
-- server that stops in the middle goes on at its next start.
ALTER TABLE orgs ADD COLUMN deleting_at BIGINT NOT NULL DEFAULT 0;
