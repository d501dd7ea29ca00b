-- +goose Up

-- Keys that the server made itself to issue tokens. Their public half is a key like any
-- other, so that listings, the audit and revocation by key hold for them, too.
ALTER TABLE keys ADD COLUMN issuer INTEGER NOT NULL DEFAULT 0;
-- When the last token of a key that signs no more has ended; 0: it may still sign.
ALTER TABLE keys ADD COLUMN verifies_until INTEGER NOT NULL DEFAULT 0;

-- One key of an organisation signs at a time, whatever two processes do at once.
CREATE UNIQUE INDEX keys_that_sign ON keys (org) WHERE issuer = 1 AND verifies_until = 0 AND disabled_at = 0;

-- The private halves, apart from the public ones: a key that signs no more loses its row.
CREATE TABLE issuer_keys (
    key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;

-- Tokens that are refused although they verify. AUTOINCREMENT, so that a number is never
-- given twice and grows in the order of commits: servers read what is above the last
-- number that they have seen. An organisation is not referred to: if one is deleted and
-- made again with the same keys, its revoked tokens stay revoked.
CREATE TABLE revocations (
    seq           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    org           TEXT    NOT NULL,
    kind          TEXT    NOT NULL, -- jti, hash, subject or key
    value         TEXT    NOT NULL,
    issued_before INTEGER NOT NULL, -- of a subject
    expires_at    INTEGER NOT NULL, -- 0: never forgotten
    created_at    INTEGER NOT NULL,
    revoked_by    TEXT    NOT NULL,
    reason        TEXT    NOT NULL
) STRICT;

CREATE INDEX revocations_by_org ON revocations (org, seq);
CREATE INDEX revocations_that_expire ON revocations (expires_at) WHERE expires_at > 0;

-- Which token was used: its claim "jti", and the hash by which one without is revoked.
ALTER TABLE audit ADD COLUMN token_id TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN token_hash TEXT NOT NULL DEFAULT '';
