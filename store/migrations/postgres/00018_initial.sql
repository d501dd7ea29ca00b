-- The schema of version 18 as a whole: databases of earlier versions were SQLite's
-- alone. From here on each migration has a twin of the same number in both folders.
--
-- Texts compare by bytes, as Go and SQLite do. Numbers are BIGINT and booleans 0 or 1,
-- so that statements are the same for both databases. Times are microseconds since
-- 1970 UTC, 0 = no time. Ids are a prefix and a ULID: their order is that of age.

-- +goose Up

CREATE TABLE orgs (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at BIGINT           NOT NULL,
    limits     TEXT COLLATE "C" NOT NULL DEFAULT '{}'
);

CREATE TABLE keys (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    org            TEXT COLLATE "C" NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    key_id         TEXT COLLATE "C" NOT NULL,
    algorithm      TEXT COLLATE "C" NOT NULL,
    public_pem     TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT           NOT NULL,
    disabled_at    BIGINT           NOT NULL,
    issuer         BIGINT           NOT NULL DEFAULT 0,
    verifies_until BIGINT           NOT NULL DEFAULT 0
);

CREATE INDEX keys_by_org ON keys (org, created_at);

CREATE TABLE repositories (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    org              TEXT COLLATE "C" NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    name             TEXT COLLATE "C" NOT NULL,
    -- The name in lower case as Go sees it: the databases disagree on what
    -- lower case is outside ASCII.
    search_name      TEXT COLLATE "C" NOT NULL,
    default_branch   TEXT COLLATE "C" NOT NULL,
    object_format    TEXT COLLATE "C" NOT NULL,
    version          BIGINT           NOT NULL,
    created_at       BIGINT           NOT NULL,
    disk_bytes       BIGINT           NOT NULL DEFAULT 0,
    disk_measured_at BIGINT           NOT NULL DEFAULT 0,
    changed_at       BIGINT           NOT NULL DEFAULT 0,
    UNIQUE (org, name)
);

CREATE INDEX repositories_by_age ON repositories (org, id);

CREATE TABLE upstreams (
    repo_id        TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    provider       TEXT COLLATE "C" NOT NULL,
    instance       TEXT COLLATE "C" NOT NULL,
    mode           TEXT COLLATE "C" NOT NULL,
    host           TEXT COLLATE "C" NOT NULL,
    owner          TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    upstream_id    TEXT COLLATE "C" NOT NULL,
    url            TEXT COLLATE "C" NOT NULL,
    default_branch TEXT COLLATE "C" NOT NULL,
    search_path    TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE sync_states (
    repo_id           TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    wanted            BIGINT           NOT NULL,
    served            BIGINT           NOT NULL,
    wanted_ref        TEXT COLLATE "C" NOT NULL,
    -- The generation and ref of the last TakeSync; 0 once SaveSync ended it.
    taken             BIGINT           NOT NULL,
    taken_ref         TEXT COLLATE "C" NOT NULL,
    cause             TEXT COLLATE "C" NOT NULL, -- the trigger, which is a reserved word
    next_attempt_at   BIGINT           NOT NULL,
    failures          BIGINT           NOT NULL,
    runs              BIGINT           NOT NULL,
    first_synced_at   BIGINT           NOT NULL,
    last_success_at   BIGINT           NOT NULL,
    last_error_at     BIGINT           NOT NULL,
    last_class        TEXT COLLATE "C" NOT NULL,
    last_error        TEXT COLLATE "C" NOT NULL,
    digest            TEXT COLLATE "C" NOT NULL,
    brake_digest      TEXT COLLATE "C" NOT NULL,
    observed_at       BIGINT           NOT NULL DEFAULT 0,
    changed_at        BIGINT           NOT NULL DEFAULT 0,
    poll_at           BIGINT           NOT NULL DEFAULT 0,
    upstream_state    TEXT COLLATE "C" NOT NULL DEFAULT '',
    upstream_since    BIGINT           NOT NULL DEFAULT 0,
    tried             BIGINT           NOT NULL DEFAULT 0,
    skipped_refs      TEXT COLLATE "C" NOT NULL DEFAULT 'null',
    notice_kind       TEXT COLLATE "C" NOT NULL DEFAULT '',
    notice_class      TEXT COLLATE "C" NOT NULL DEFAULT '',
    notice_generation BIGINT           NOT NULL DEFAULT 0,
    brake_since       BIGINT           NOT NULL DEFAULT 0,
    paused_at         BIGINT           NOT NULL DEFAULT 0,
    idle              BIGINT           NOT NULL DEFAULT 0
);

CREATE TABLE sync_runs (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repo_id      TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    cause        TEXT COLLATE "C" NOT NULL,
    ref          TEXT COLLATE "C" NOT NULL,
    is_first     BIGINT           NOT NULL,
    started_at   BIGINT           NOT NULL,
    finished_at  BIGINT           NOT NULL,
    outcome      TEXT COLLATE "C" NOT NULL,
    class        TEXT COLLATE "C" NOT NULL,
    error        TEXT COLLATE "C" NOT NULL,
    refs_created BIGINT           NOT NULL,
    refs_updated BIGINT           NOT NULL,
    refs_deleted BIGINT           NOT NULL,
    bytes        BIGINT           NOT NULL,
    refs_forced  BIGINT           NOT NULL DEFAULT 0,
    refs_held    BIGINT           NOT NULL DEFAULT 0,
    phases       TEXT COLLATE "C" NOT NULL DEFAULT 'null'
);

CREATE INDEX sync_runs_by_repo ON sync_runs (repo_id, id);

CREATE INDEX sync_runs_unfinished ON sync_runs (id) WHERE finished_at = 0;

CREATE TABLE credentials (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repo_id    TEXT COLLATE "C" NOT NULL UNIQUE REFERENCES repositories (id) ON DELETE CASCADE,
    username   TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA            NOT NULL, -- the secret, with id as associated data
    created_at BIGINT           NOT NULL,
    updated_at BIGINT           NOT NULL,
    host       TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE journal (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repo_id    TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    namespace  TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    upstream   BIGINT           NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    updates    TEXT COLLATE "C" NOT NULL, -- JSON array of {name, old, new}
    created_at BIGINT           NOT NULL,
    closed_at  BIGINT           NOT NULL
);

CREATE INDEX journal_by_repo ON journal (repo_id, id);

CREATE INDEX journal_open ON journal (id) WHERE state IN ('sent', 'lagging');

CREATE TABLE events (
    -- A sequence: a reader's position must never be used twice.
    seq        BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    repo_id    TEXT COLLATE "C" NOT NULL,
    org        TEXT COLLATE "C" NOT NULL,
    type       TEXT COLLATE "C" NOT NULL,
    journal_id TEXT COLLATE "C" NOT NULL,
    ref        TEXT COLLATE "C" NOT NULL,
    payload    TEXT COLLATE "C" NOT NULL, -- JSON
    created_at BIGINT           NOT NULL
);

CREATE UNIQUE INDEX events_by_change ON events (journal_id, ref) WHERE journal_id <> '';

CREATE INDEX sync_runs_finished ON sync_runs (repo_id, finished_at) WHERE finished_at > 0;

CREATE INDEX journal_closed ON journal (closed_at) WHERE state IN ('applied', 'dropped');

CREATE INDEX upstreams_by_path ON upstreams (instance, search_path);

CREATE INDEX upstreams_by_id ON upstreams (instance, upstream_id) WHERE upstream_id <> '';

CREATE INDEX events_by_org ON events (org, seq);

CREATE INDEX events_by_repo ON events (repo_id, seq);

CREATE TABLE settings (
    repo_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    body    TEXT COLLATE "C" NOT NULL -- JSON object
);

CREATE TABLE rewrites (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repo_id    TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    journal_id TEXT COLLATE "C" NOT NULL, -- '' while the ref has not moved
    ref        TEXT COLLATE "C" NOT NULL,
    old_id     TEXT COLLATE "C" NOT NULL,
    new_id     TEXT COLLATE "C" NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    bytes      BIGINT           NOT NULL,
    created_at BIGINT           NOT NULL,
    decided_at BIGINT           NOT NULL,
    decided_by TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT           NOT NULL,
    restored   TEXT COLLATE "C" NOT NULL
);

CREATE INDEX rewrites_by_repo ON rewrites (repo_id, id);

CREATE INDEX rewrites_by_ref ON rewrites (repo_id, ref, id);

CREATE INDEX rewrites_held ON rewrites (repo_id, ref, id) WHERE state IN ('held', 'frozen', 'dismissed');

CREATE INDEX rewrites_expiring ON rewrites (expires_at) WHERE state = 'retained' AND expires_at > 0;

CREATE TABLE audit (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    org         TEXT COLLATE "C" NOT NULL,
    repo_id     TEXT COLLATE "C" NOT NULL,
    repo_name   TEXT COLLATE "C" NOT NULL,
    at          BIGINT           NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    actor_org   TEXT COLLATE "C" NOT NULL,
    key_id      TEXT COLLATE "C" NOT NULL,
    remote_addr TEXT COLLATE "C" NOT NULL,
    user_agent  TEXT COLLATE "C" NOT NULL,
    action      TEXT COLLATE "C" NOT NULL,
    target      TEXT COLLATE "C" NOT NULL,
    credential  TEXT COLLATE "C" NOT NULL,
    host_login  TEXT COLLATE "C" NOT NULL,
    updates     TEXT COLLATE "C" NOT NULL, -- JSON array of {name, old, new}
    outcome     TEXT COLLATE "C" NOT NULL,
    message     TEXT COLLATE "C" NOT NULL,
    token_id    TEXT COLLATE "C" NOT NULL DEFAULT '',
    token_hash  TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE INDEX audit_by_org ON audit (org, id);

CREATE INDEX audit_by_repo ON audit (repo_id, id) WHERE repo_id <> '';

CREATE TABLE webhooks (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    org             TEXT COLLATE "C" NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    url             TEXT COLLATE "C" NOT NULL,
    events          TEXT COLLATE "C" NOT NULL, -- JSON array of types
    repo_id         TEXT COLLATE "C" NOT NULL, -- no foreign key: without its repository a filter matches nothing
    active          BIGINT           NOT NULL,
    sealed          BYTEA            NOT NULL, -- the secret, with id as associated data
    created_at      BIGINT           NOT NULL,
    updated_at      BIGINT           NOT NULL,
    start_seq       BIGINT           NOT NULL,
    failing_since   BIGINT           NOT NULL,
    last_success_at BIGINT           NOT NULL,
    last_attempt_at BIGINT           NOT NULL,
    last_error      TEXT COLLATE "C" NOT NULL
);

CREATE INDEX webhooks_by_org ON webhooks (org, id);

CREATE TABLE deliveries (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    webhook_id      TEXT COLLATE "C" NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id        TEXT COLLATE "C" NOT NULL,
    event_type      TEXT COLLATE "C" NOT NULL,
    repo_id         TEXT COLLATE "C" NOT NULL,
    state           TEXT COLLATE "C" NOT NULL,
    -- 1 for the oldest pending one of its webhook and repository, which alone
    -- may be sent. It is kept, not computed: behind a dead receiver hundreds of
    -- thousands may wait.
    head            BIGINT           NOT NULL,
    attempts        BIGINT           NOT NULL,
    next_attempt_at BIGINT           NOT NULL,
    last_status     BIGINT           NOT NULL,
    last_error      TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT           NOT NULL,
    finished_at     BIGINT           NOT NULL,
    payload         TEXT COLLATE "C" NOT NULL -- JSON; last, because it may be long
);

CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);

CREATE INDEX deliveries_pending ON deliveries (webhook_id, repo_id, id) WHERE state = 'pending';

CREATE UNIQUE INDEX deliveries_head ON deliveries (webhook_id, repo_id) WHERE head = 1;

CREATE INDEX deliveries_due ON deliveries (next_attempt_at, id, webhook_id) WHERE head = 1;

CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE state <> 'pending';

CREATE TABLE delivery_attempts (
    delivery_id TEXT COLLATE "C" NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number      BIGINT           NOT NULL,
    at          BIGINT           NOT NULL,
    duration    BIGINT           NOT NULL, -- microseconds
    status      BIGINT           NOT NULL,
    response    BYTEA            NOT NULL,
    error       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (delivery_id, number)
);

CREATE TABLE outbox (
    id  BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);

CREATE TABLE inbound_webhooks (
    repo_id          TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES upstreams (repo_id) ON DELETE CASCADE,
    token_digest     TEXT COLLATE "C" NOT NULL, -- SHA-256 in hexadecimal, to find the row by
    sealed_token     BYTEA            NOT NULL,
    sealed_secrets   BYTEA            NOT NULL, -- JSON array
    rotated_at       BIGINT           NOT NULL,
    hook_id          TEXT COLLATE "C" NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    message          TEXT COLLATE "C" NOT NULL,
    checked_at       BIGINT           NOT NULL,
    next_check       BIGINT           NOT NULL,
    last_delivery_at BIGINT           NOT NULL,
    last_missed_at   BIGINT           NOT NULL,
    created_at       BIGINT           NOT NULL
);

CREATE UNIQUE INDEX inbound_webhooks_by_token ON inbound_webhooks (token_digest) WHERE token_digest <> '';

CREATE INDEX inbound_webhooks_due ON inbound_webhooks (next_check) WHERE next_check > 0;

CREATE TABLE expectations (
    repo_id    TEXT COLLATE "C" NOT NULL REFERENCES upstreams (repo_id) ON DELETE CASCADE,
    ref        TEXT COLLATE "C" NOT NULL,
    old_id     TEXT COLLATE "C" NOT NULL,
    new_id     TEXT COLLATE "C" NOT NULL,
    since      BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL,
    PRIMARY KEY (repo_id, ref)
);

CREATE TABLE inbound_deliveries (
    instance    TEXT COLLATE "C" NOT NULL,
    delivery_id TEXT COLLATE "C" NOT NULL,
    repo_id     TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    received_at BIGINT           NOT NULL,
    PRIMARY KEY (instance, delivery_id)
);

CREATE INDEX inbound_deliveries_last ON inbound_deliveries (instance, received_at);

CREATE INDEX inbound_deliveries_by_age ON inbound_deliveries (received_at);

CREATE INDEX journal_ephemeral ON journal (repo_id, id) WHERE namespace = 'ephemeral';

CREATE TABLE damages (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repo_id  TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    state    TEXT COLLATE "C" NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL,
    missing  BIGINT           NOT NULL,
    released BIGINT           NOT NULL,
    found_at BIGINT           NOT NULL,
    ended_at BIGINT           NOT NULL,
    carried  BIGINT           NOT NULL,
    lost     TEXT COLLATE "C" NOT NULL -- JSON array of {ref, id}
);

CREATE INDEX damages_by_repo ON damages (repo_id, id);

CREATE INDEX damages_open ON damages (id) WHERE ended_at = 0;

CREATE TABLE restores (
    id           BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    backup_at    BIGINT NOT NULL,
    restored_at  BIGINT NOT NULL,
    first_seq    BIGINT NOT NULL,
    confirmed_at BIGINT NOT NULL
);

CREATE TABLE forgotten (
    repo_id      TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    object_id    TEXT COLLATE "C" NOT NULL,
    forgotten_at BIGINT           NOT NULL,
    PRIMARY KEY (repo_id, object_id)
);

CREATE UNIQUE INDEX keys_that_sign ON keys (org) WHERE issuer = 1 AND verifies_until = 0 AND disabled_at = 0;

CREATE TABLE issuer_keys (
    key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES keys (id) ON DELETE CASCADE,
    sealed BYTEA            NOT NULL
);

CREATE TABLE revocations (
    seq           BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    id            TEXT COLLATE "C" NOT NULL UNIQUE,
    org           TEXT COLLATE "C" NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL, -- jti, hash, subject or key
    value         TEXT COLLATE "C" NOT NULL,
    issued_before BIGINT           NOT NULL, -- of a subject
    expires_at    BIGINT           NOT NULL, -- 0: never forgotten
    created_at    BIGINT           NOT NULL,
    revoked_by    TEXT COLLATE "C" NOT NULL,
    reason        TEXT COLLATE "C" NOT NULL
);

CREATE INDEX revocations_by_org ON revocations (org, seq);

CREATE INDEX revocations_that_expire ON revocations (expires_at) WHERE expires_at > 0;

CREATE TABLE console_links (
    hash       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    subject    TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT           NOT NULL
);

CREATE TABLE console_sessions (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    role       TEXT COLLATE "C" NOT NULL,
    org        TEXT COLLATE "C" NOT NULL, -- '' for the owner
    subject    TEXT COLLATE "C" NOT NULL,
    identity   BYTEA            NOT NULL, -- JSON: what the token says
    created_at BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL
);

CREATE TABLE console_minutes (
    org           TEXT COLLATE "C" NOT NULL,
    at            BIGINT           NOT NULL,
    fresh         BIGINT           NOT NULL,
    syncing       BIGINT           NOT NULL,
    failing       BIGINT           NOT NULL,
    held          BIGINT           NOT NULL,
    waiting       BIGINT           NOT NULL,
    lag_median    BIGINT           NOT NULL, -- microseconds, like those that follow
    lag_most      BIGINT           NOT NULL,
    lag_max       BIGINT           NOT NULL,
    pushes_ok     BIGINT           NOT NULL,
    pushes_failed BIGINT           NOT NULL,
    push_time     BIGINT           NOT NULL,
    push_slowest  BIGINT           NOT NULL,
    succeeded     BIGINT           NOT NULL,
    unchanged     BIGINT           NOT NULL,
    syncs_failed  BIGINT           NOT NULL,
    syncs_held    BIGINT           NOT NULL,
    PRIMARY KEY (org, at)
);

CREATE INDEX console_minutes_by_age ON console_minutes (at);

CREATE TABLE console_lags (
    repo_id TEXT COLLATE "C" NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    at      BIGINT           NOT NULL,
    lag     BIGINT           NOT NULL, -- microseconds
    PRIMARY KEY (repo_id, at)
);

CREATE INDEX console_lags_by_age ON console_lags (at);

CREATE TABLE shared_credentials (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    org         TEXT COLLATE "C" NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    name        TEXT COLLATE "C" NOT NULL,
    provider    TEXT COLLATE "C" NOT NULL, -- the word of the wire
    instance    TEXT COLLATE "C" NOT NULL,
    host        TEXT COLLATE "C" NOT NULL, -- lower case
    owner       TEXT COLLATE "C" NOT NULL,
    owner_path  TEXT COLLATE "C" NOT NULL, -- in lower case, as hosts compare: what repositories must be below
    username    TEXT COLLATE "C" NOT NULL,
    sealed      BYTEA            NOT NULL,
    expires_at  BIGINT           NOT NULL, -- as the host says; 0: it does not
    checked_at  BIGINT           NOT NULL,
    check_error TEXT COLLATE "C" NOT NULL, -- "": it worked
    created_at  BIGINT           NOT NULL,
    updated_at  BIGINT           NOT NULL,
    UNIQUE (org, name)
);

CREATE TABLE previous_credentials (
    credential_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES shared_credentials (id) ON DELETE CASCADE,
    username      TEXT COLLATE "C" NOT NULL,
    sealed        BYTEA            NOT NULL,
    until         BIGINT           NOT NULL
);

CREATE TABLE credential_uses (
    repo_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES repositories (id) ON DELETE CASCADE,
    credential_id TEXT COLLATE "C" NOT NULL REFERENCES shared_credentials (id),
    assigned_at   BIGINT           NOT NULL
);

CREATE INDEX credential_uses_by_credential ON credential_uses (credential_id);

CREATE TABLE mirror_sets (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    org           TEXT COLLATE "C" NOT NULL REFERENCES orgs (name) ON DELETE CASCADE,
    provider      TEXT COLLATE "C" NOT NULL,
    public        BIGINT           NOT NULL,
    host          TEXT COLLATE "C" NOT NULL,
    owner         TEXT COLLATE "C" NOT NULL,
    owner_path    TEXT COLLATE "C" NOT NULL, -- in lower case
    prefix        TEXT COLLATE "C" NOT NULL, -- of the names of its repositories here
    include       TEXT COLLATE "C" NOT NULL, -- JSON array of patterns
    exclude       TEXT COLLATE "C" NOT NULL, -- JSON array of patterns
    archived      BIGINT           NOT NULL,
    forks         BIGINT           NOT NULL,
    credential_id TEXT COLLATE "C" NOT NULL, -- of a shared credential; "": none
    follow        BIGINT           NOT NULL,
    next_look_at  BIGINT           NOT NULL, -- 0: never
    looked_at     BIGINT           NOT NULL, -- end of the last complete look
    failures      BIGINT           NOT NULL, -- in a row
    last_error    TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT           NOT NULL,
    updated_at    BIGINT           NOT NULL,
    UNIQUE (org, host, owner_path)
);

CREATE INDEX mirror_sets_due ON mirror_sets (next_look_at) WHERE next_look_at > 0;

CREATE TABLE mirror_set_entries (
    set_id      TEXT COLLATE "C" NOT NULL REFERENCES mirror_sets (id) ON DELETE CASCADE,
    upstream_id TEXT COLLATE "C" NOT NULL,
    path        TEXT COLLATE "C" NOT NULL, -- at the host
    name        TEXT COLLATE "C" NOT NULL, -- of the repository here
    repo_id     TEXT COLLATE "C" NOT NULL,
    action      TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    seen_at     BIGINT           NOT NULL,
    gone_at     BIGINT           NOT NULL, -- 0: the host lists it
    PRIMARY KEY (set_id, upstream_id)
);

CREATE INDEX sync_states_due ON sync_states (next_attempt_at) WHERE served < wanted AND idle = 0;

CREATE INDEX sync_states_poll ON sync_states (poll_at) WHERE poll_at > 0 AND served >= wanted AND idle = 0;

CREATE TABLE switches (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since BIGINT           NOT NULL,
    text  TEXT COLLATE "C" NOT NULL
);

INSERT INTO outbox (id, seq) VALUES (1, 0);

-- The audit only grows.
-- +goose StatementBegin
CREATE FUNCTION audit_is_not_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are never changed or deleted';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_not_changed();

CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_not_changed();

-- What a data directory knows its database by, and which server writes to it: each one
-- that starts raises the epoch, and a write of an earlier one is refused. SQLite has
-- the lock of the data directory for both.
CREATE TABLE installation (
    id    BIGINT           NOT NULL PRIMARY KEY CHECK (id = 1),
    name  TEXT COLLATE "C" NOT NULL,
    epoch BIGINT           NOT NULL
);

INSERT INTO installation (id, name, epoch) VALUES (1, 'db_' || replace(gen_random_uuid()::text, '-', ''), 0);
