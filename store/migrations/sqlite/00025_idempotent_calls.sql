-- +goose Up

-- Calls of the API that were sent with an Idempotency-Key, for a day: who does not know
-- whether one was answered sends it again, and it is done once. A row is there before the
-- work begins, so that one whose answer never came says that nobody knows.
CREATE TABLE idempotent_calls (
    id          TEXT    NOT NULL PRIMARY KEY, -- hash of organisation, caller, operation and key
    org         TEXT    NOT NULL,
    number      INTEGER NOT NULL, -- of the call in its organisation: the newest so many are kept
    created_at  INTEGER NOT NULL,
    fingerprint TEXT    NOT NULL, -- of the request
    status      INTEGER NOT NULL, -- of the answer; 0: it is not known
    sealed      BLOB    NOT NULL  -- the answer: it may hold a secret that is shown once
) STRICT;

CREATE UNIQUE INDEX idempotent_calls_by_org ON idempotent_calls (org, number);
CREATE INDEX idempotent_calls_by_age ON idempotent_calls (created_at);
