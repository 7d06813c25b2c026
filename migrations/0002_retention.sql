-- What is kept, for how long, and how it goes: marked, then its rows in batches, then its objects.

ALTER TABLE jobs
  -- NULL: as the server's settings say. 0: never by this rule.
  ADD COLUMN keep_days   integer CHECK (keep_days >= 0),
  ADD COLUMN keep_builds integer CHECK (keep_builds >= 0),
  ADD COLUMN keep_bytes  bigint CHECK (keep_bytes >= 0);

ALTER TABLE builds
  ADD COLUMN pinned_at  timestamptz,
  ADD COLUMN pinned_by  text NOT NULL DEFAULT '',
  -- What its artifacts and the raw bytes of its logs come to; NULL while it is not over or not measured.
  ADD COLUMN kept_bytes bigint,
  -- Set: it is going. Nothing opens it again, and nothing pins it.
  ADD COLUMN doomed_at  timestamptz,
  ADD CONSTRAINT doomed_only_when_over CHECK (doomed_at IS NULL OR finished_at IS NOT NULL),
  ADD CONSTRAINT pinned_is_not_doomed CHECK (doomed_at IS NULL OR pinned_at IS NULL);
CREATE INDEX builds_unmeasured ON builds (id) WHERE finished_at IS NOT NULL AND kept_bytes IS NULL;
CREATE INDEX builds_doomed ON builds (id) WHERE doomed_at IS NOT NULL;
CREATE INDEX builds_green ON builds (job_id, number) WHERE state = 'success';

-- A build that is opened again is measured again.
CREATE FUNCTION forget_size() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.kept_bytes := NULL;
  RETURN NEW;
END $$;
CREATE TRIGGER forget_size BEFORE UPDATE ON builds FOR EACH ROW
  WHEN (NEW.finished_at IS NULL AND OLD.kept_bytes IS NOT NULL) EXECUTE FUNCTION forget_size();

-- Rows of other tables point at these; without an index each deletion would read the whole table.
CREATE INDEX artifacts_by_build ON artifacts (build_id);
CREATE INDEX artifacts_of_step ON artifacts (step_id);

-- Objects whose rows are gone: everything under the prefix goes, then this row.
CREATE TABLE doomed_objects (
  prefix    text PRIMARY KEY COLLATE "C",
  org_id    text NOT NULL,
  doomed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Removing them is one replica's until this time, and a failed try rests until then.
  after     timestamptz NOT NULL DEFAULT clock_timestamp(),
  tries     integer NOT NULL DEFAULT 0
);
CREATE INDEX doomed_objects_next ON doomed_objects (after);

-- Long sweeps that one replica does at a time, each not before this time.
CREATE TABLE sweeps (
  name   text PRIMARY KEY,
  due_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO sweeps (name) VALUES ('retention'), ('stray objects');
