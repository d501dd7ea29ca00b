-- +goose Up

-- One row, if the database came from a backup: what was given out between the backup
-- and the loss is unknown. So events go on at first_seq, far above, and deliveries are
-- held until an operator has confirmed that they may go out.
CREATE TABLE restores (
    id           INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    backup_at    INTEGER NOT NULL,
    restored_at  INTEGER NOT NULL,
    first_seq    INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL
) STRICT;
