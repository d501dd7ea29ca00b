-- A row as of migration 7, where one column held the whole notice.
INSERT INTO sync_states (repo_id, wanted, served, wanted_ref, taken, taken_ref, cause, next_attempt_at, failures, runs,
	first_synced_at, last_success_at, last_error_at, last_class, last_error, digest, brake_digest, told)
VALUES ('repo_1', 0, 0, '', 0, '', '', 0, 0, 0, 0, 0, 0, '', '', '', $1, $2)
