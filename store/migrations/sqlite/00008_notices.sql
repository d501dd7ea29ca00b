-- +goose Up

-- What the last notice of a repository's syncs said was one string, "kind@generation"
-- or "kind:class@generation", and the listing that was held back was "digest@time".
ALTER TABLE sync_states ADD COLUMN notice_kind       TEXT    NOT NULL DEFAULT '';
ALTER TABLE sync_states ADD COLUMN notice_class      TEXT    NOT NULL DEFAULT '';
ALTER TABLE sync_states ADD COLUMN notice_generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_states ADD COLUMN brake_since       INTEGER NOT NULL DEFAULT 0;

UPDATE sync_states SET
    notice_kind = CASE
        WHEN instr(told, ':') > 0 THEN substr(told, 1, instr(told, ':') - 1)
        ELSE substr(told, 1, instr(told, '@') - 1) END,
    notice_class = CASE
        WHEN instr(told, ':') > 0 THEN substr(told, instr(told, ':') + 1, instr(told, '@') - instr(told, ':') - 1)
        ELSE '' END,
    notice_generation = CAST(substr(told, instr(told, '@') + 1) AS INTEGER)
WHERE told GLOB '?*@[0-9]*';

UPDATE sync_states SET
    brake_since = coalesce(CAST(strftime('%s', substr(brake_digest, instr(brake_digest, '@') + 1)) AS INTEGER) * 1000000, 0),
    brake_digest = substr(brake_digest, 1, instr(brake_digest, '@') - 1)
WHERE instr(brake_digest, '@') > 0;

ALTER TABLE sync_states DROP COLUMN told;
