-- +goose Up

-- The header traceparent of what an event came from, so that the deliveries that tell of
-- a push are in the trace of the push; '' where nothing was traced.
ALTER TABLE events ADD COLUMN trace TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN trace TEXT NOT NULL DEFAULT '';
