-- What 00001 says of times, JSON, booleans and ids holds here too.

-- +goose Up

-- Nothing ever wrote it.
ALTER TABLE sync_states DROP COLUMN head_checked_at;

ALTER TABLE sync_states ADD COLUMN observed_at    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_states ADD COLUMN changed_at     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_states ADD COLUMN poll_at        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_states ADD COLUMN told           TEXT    NOT NULL DEFAULT '';
ALTER TABLE sync_states ADD COLUMN upstream_state TEXT    NOT NULL DEFAULT '';
ALTER TABLE sync_states ADD COLUMN upstream_since INTEGER NOT NULL DEFAULT 0;

-- The states that a poll may be due for: those with work are looked at anyhow.
CREATE INDEX sync_states_poll ON sync_states (poll_at) WHERE poll_at > 0 AND served >= wanted;

ALTER TABLE sync_runs ADD COLUMN refs_forced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_runs ADD COLUMN refs_held   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_runs ADD COLUMN phases      TEXT    NOT NULL DEFAULT 'null'; -- JSON array of {name, duration}

-- For retention: old runs of a repository without a walk over its new ones.
CREATE INDEX sync_runs_finished ON sync_runs (repo_id, finished_at) WHERE finished_at > 0;

CREATE INDEX journal_closed ON journal (closed_at) WHERE state IN ('applied', 'dropped');

-- Owner and name in lower case as Go sees them, with slashes between. For the
-- rows that are here already the database does it, which comes to the same for
-- ASCII, all that hosts allow in paths; a row with other letters is found again
-- once its link is written anew.
ALTER TABLE upstreams ADD COLUMN search_path TEXT NOT NULL DEFAULT '';

UPDATE upstreams SET search_path = lower(CASE WHEN owner = '' THEN name ELSE owner || '/' || name END);

CREATE INDEX upstreams_by_path ON upstreams (instance, search_path);
CREATE INDEX upstreams_by_id ON upstreams (instance, upstream_id) WHERE upstream_id <> '';

-- For readers that follow one organisation or one repository.
CREATE INDEX events_by_org ON events (org, seq);
CREATE INDEX events_by_repo ON events (repo_id, seq);

CREATE TABLE settings (
    repo_id TEXT NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    body    TEXT NOT NULL -- JSON object
) STRICT;

CREATE TABLE rewrites (
    id         TEXT    NOT NULL PRIMARY KEY,
    repo_id    TEXT    NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    journal_id TEXT    NOT NULL, -- '' while the ref has not moved
    ref        TEXT    NOT NULL,
    old_id     TEXT    NOT NULL,
    new_id     TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    bytes      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    decided_by TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    restored   TEXT    NOT NULL
) STRICT;

CREATE INDEX rewrites_by_repo ON rewrites (repo_id, id);
CREATE INDEX rewrites_by_ref ON rewrites (repo_id, ref, id);
CREATE INDEX rewrites_held ON rewrites (repo_id, ref, id) WHERE state IN ('held', 'frozen', 'dismissed');
CREATE INDEX rewrites_expiring ON rewrites (expires_at) WHERE state = 'retained' AND expires_at > 0;

-- Entries name organisation and repository without a foreign key: they outlive
-- them.
CREATE TABLE audit (
    id          TEXT    NOT NULL PRIMARY KEY,
    org         TEXT    NOT NULL,
    repo_id     TEXT    NOT NULL,
    repo_name   TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    subject     TEXT    NOT NULL,
    actor_org   TEXT    NOT NULL,
    key_id      TEXT    NOT NULL,
    remote_addr TEXT    NOT NULL,
    user_agent  TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    credential  TEXT    NOT NULL,
    host_login  TEXT    NOT NULL,
    updates     TEXT    NOT NULL, -- JSON array of {name, old, new}
    outcome     TEXT    NOT NULL,
    message     TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_by_org ON audit (org, id);
CREATE INDEX audit_by_repo ON audit (repo_id, id) WHERE repo_id <> '';

-- +goose StatementBegin
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never deleted');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE would delete without the trigger above.
-- +goose StatementBegin
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never replaced');
END;
-- +goose StatementEnd

CREATE TABLE webhooks (
    id              TEXT    NOT NULL PRIMARY KEY,
    org             TEXT    NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    url             TEXT    NOT NULL,
    events          TEXT    NOT NULL, -- JSON array of types
    repo_id         TEXT    NOT NULL, -- no foreign key: without its repository a filter matches nothing
    active          INTEGER NOT NULL,
    sealed          BLOB    NOT NULL, -- the secret, with id as associated data
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    start_seq       INTEGER NOT NULL,
    failing_since   INTEGER NOT NULL,
    last_success_at INTEGER NOT NULL,
    last_attempt_at INTEGER NOT NULL,
    last_error      TEXT    NOT NULL
) STRICT;

CREATE INDEX webhooks_by_org ON webhooks (org, id);

CREATE TABLE deliveries (
    id              TEXT    NOT NULL PRIMARY KEY,
    webhook_id      TEXT    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id        TEXT    NOT NULL,
    event_type      TEXT    NOT NULL,
    repo_id         TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    -- 1 for the oldest pending one of its webhook and repository, which alone
    -- may be sent. It is kept, not computed: behind a dead receiver hundreds of
    -- thousands may wait.
    head            INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    last_status     INTEGER NOT NULL,
    last_error      TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    finished_at     INTEGER NOT NULL,
    payload         TEXT    NOT NULL -- JSON; last, because it may be long
) STRICT;

CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);
CREATE INDEX deliveries_pending ON deliveries (webhook_id, repo_id, id) WHERE state = 'pending';
CREATE UNIQUE INDEX deliveries_head ON deliveries (webhook_id, repo_id) WHERE head = 1;
CREATE INDEX deliveries_due ON deliveries (next_attempt_at, id, webhook_id) WHERE head = 1;
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE state <> 'pending';

CREATE TABLE delivery_attempts (
    delivery_id TEXT    NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    duration    INTEGER NOT NULL, -- microseconds
    status      INTEGER NOT NULL,
    response    BLOB    NOT NULL,
    error       TEXT    NOT NULL,
    PRIMARY KEY (delivery_id, number)
) STRICT;

-- One row: the seq up to which deliveries have been made of events.
CREATE TABLE outbox (
    id  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO outbox (id, seq) VALUES (1, 0);

-- These two hang on the upstream link and go with it.
CREATE TABLE inbound_webhooks (
    repo_id          TEXT    NOT NULL PRIMARY KEY REFERENCES upstreams (repo_id) ON DELETE CASCADE,
    token_digest     TEXT    NOT NULL, -- SHA-256 in hexadecimal, to find the row by
    sealed_token     BLOB    NOT NULL,
    sealed_secrets   BLOB    NOT NULL, -- JSON array
    rotated_at       INTEGER NOT NULL,
    hook_id          TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    message          TEXT    NOT NULL,
    checked_at       INTEGER NOT NULL,
    next_check       INTEGER NOT NULL,
    last_delivery_at INTEGER NOT NULL,
    last_missed_at   INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX inbound_webhooks_by_token ON inbound_webhooks (token_digest) WHERE token_digest <> '';
CREATE INDEX inbound_webhooks_due ON inbound_webhooks (next_check) WHERE next_check > 0;

CREATE TABLE expectations (
    repo_id    TEXT    NOT NULL REFERENCES upstreams (repo_id) ON DELETE CASCADE,
    ref        TEXT    NOT NULL,
    old_id     TEXT    NOT NULL,
    new_id     TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (repo_id, ref)
) STRICT;

CREATE TABLE inbound_deliveries (
    instance    TEXT    NOT NULL,
    delivery_id TEXT    NOT NULL,
    repo_id     TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (instance, delivery_id)
) STRICT;

CREATE INDEX inbound_deliveries_last ON inbound_deliveries (instance, received_at);
CREATE INDEX inbound_deliveries_by_age ON inbound_deliveries (received_at);
