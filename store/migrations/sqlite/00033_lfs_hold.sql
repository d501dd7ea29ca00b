-- +goose Up

-- 1: the ref is held only until the LFS objects of its new tip are here, which is no
-- question to a person. Index and state are those of every held ref.
ALTER TABLE rewrites ADD COLUMN awaits_lfs INTEGER NOT NULL DEFAULT 0;
