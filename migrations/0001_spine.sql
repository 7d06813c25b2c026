-- The spine: who calls, what is built, who builds it, and what came of it.
-- Ids are text: a prefix that tells the kind, then 26 characters of a time-ordered UUID (RFC 9562, version 7).
-- Every time is the database's own; states are checked here as well as in the code that moves them.

CREATE TABLE organizations (
  id         text PRIMARY KEY COLLATE "C",
  name       text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE tokens (
  id           text PRIMARY KEY COLLATE "C",
  org_id       text NOT NULL REFERENCES organizations,
  name         text NOT NULL,
  scope        text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
  -- SHA-256 of the value, which has 256 random bits of its own and so needs no slow hash.
  hash         bytea NOT NULL UNIQUE,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_used_at timestamptz,
  expires_at   timestamptz,
  revoked_at   timestamptz
);

CREATE TABLE setup_codes (
  hash       bytea PRIMARY KEY,
  org_id     text NOT NULL REFERENCES organizations,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);

-- Keys that all replicas share, for what they hand out and take back: page tokens, download addresses.
CREATE TABLE server_keys (
  name  text PRIMARY KEY,
  value bytea NOT NULL
);
INSERT INTO server_keys (name, value)
SELECT name, sha256(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))
FROM unnest(ARRAY['page_tokens', 'download_urls']) name;

-- What a mutating call answered, kept in the effect's own transaction.
CREATE TABLE requests (
  org_id       text NOT NULL REFERENCES organizations,
  principal    text NOT NULL,
  method       text NOT NULL,
  request_id   uuid NOT NULL,
  request_hash bytea NOT NULL,
  response     bytea NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (org_id, principal, method, request_id)
);
CREATE INDEX requests_by_age ON requests (created_at);

CREATE TABLE jobs (
  id             text PRIMARY KEY COLLATE "C",
  org_id         text NOT NULL REFERENCES organizations,
  name           text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  repository     text NOT NULL,
  default_branch text NOT NULL DEFAULT 'main',
  description    text NOT NULL DEFAULT '',
  pipeline_path  text,
  pipeline_text  text,
  paused         boolean NOT NULL DEFAULT false,
  -- The number that the next build gets.
  next_number    bigint NOT NULL DEFAULT 1,
  revision       bigint NOT NULL DEFAULT 1,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  deleted_at     timestamptz,
  CONSTRAINT pipeline_lives_in_one_place CHECK ((pipeline_path IS NULL) <> (pipeline_text IS NULL))
);
CREATE UNIQUE INDEX jobs_by_name ON jobs (org_id, name) WHERE deleted_at IS NULL;

CREATE TABLE builds (
  id                  text PRIMARY KEY COLLATE "C",
  org_id              text NOT NULL REFERENCES organizations,
  job_id              text NOT NULL REFERENCES jobs,
  number              bigint NOT NULL,
  state               text NOT NULL DEFAULT 'pending' CHECK (state IN
                        ('pending', 'running', 'success', 'failure', 'error', 'timeout', 'cancellation', 'skip')),
  repository          text NOT NULL,
  -- What was asked for.
  source_kind         text NOT NULL CHECK (source_kind IN ('branch', 'tag', 'commit')),
  source_name         text NOT NULL,
  commit              text,
  author_name         text NOT NULL DEFAULT '',
  author_email        text NOT NULL DEFAULT '',
  message             text NOT NULL DEFAULT '',
  created_by          text NOT NULL,
  reason              text NOT NULL DEFAULT '',
  cause               text NOT NULL DEFAULT '',
  diagnostics         jsonb,
  step_count          integer NOT NULL DEFAULT 0,
  -- Planning is claimed by one replica until this time; a lost planner's build is planned again.
  planned_until       timestamptz,
  plan_tries          integer NOT NULL DEFAULT 0,
  cancel_requested_at timestamptz,
  cancel_reason       text NOT NULL DEFAULT '',
  revision            bigint NOT NULL DEFAULT 1,
  created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at          timestamptz,
  finished_at         timestamptz,
  UNIQUE (job_id, number),
  CONSTRAINT build_finished_iff_over CHECK
    ((state IN ('success', 'failure', 'error', 'timeout', 'cancellation', 'skip')) = (finished_at IS NOT NULL)),
  CONSTRAINT build_runs_at_a_commit CHECK (state <> 'running' OR commit IS NOT NULL)
);
CREATE INDEX builds_newest ON builds (org_id, id);
CREATE INDEX builds_of_job ON builds (job_id, id);
CREATE INDEX builds_in_state ON builds (org_id, state, id);
CREATE INDEX builds_on_branch ON builds (org_id, source_name, id) WHERE source_kind = 'branch';
CREATE INDEX builds_at_commit ON builds (org_id, commit text_pattern_ops) WHERE commit IS NOT NULL;
CREATE INDEX builds_to_plan ON builds (id) WHERE state = 'pending';
CREATE INDEX builds_live ON builds (id) WHERE state IN ('pending', 'running');

-- Distinct sets of requirements. A worker's labels are matched against these few rows, not against the whole queue.
CREATE TABLE shapes (
  id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  org_id       text NOT NULL REFERENCES organizations,
  pool         text NOT NULL,
  -- `k=v`, ordered; `ritmo/executor=docker` for a step with an image, `ritmo/executor=process` for one without.
  requires     text[] NOT NULL,
  cpu_millis   integer NOT NULL,
  memory_bytes bigint NOT NULL,
  UNIQUE (org_id, pool, requires, cpu_millis, memory_bytes)
);

CREATE TABLE steps (
  id                  text PRIMARY KEY COLLATE "C",
  org_id              text NOT NULL REFERENCES organizations,
  build_id            text NOT NULL REFERENCES builds,
  key                 text NOT NULL,
  position            integer NOT NULL,
  -- ritmo.pipeline.v1.Step, in protobuf's binary form.
  spec                bytea NOT NULL,
  -- What it asks of a worker.
  shape_id            integer NOT NULL REFERENCES shapes,
  state               text NOT NULL DEFAULT 'waiting' CHECK (state IN
                        ('waiting', 'queued', 'leased', 'running', 'finishing',
                         'success', 'failure', 'error', 'timeout', 'cancellation', 'skip')),
  -- How often it was leased, and how often that ended by our fault.
  attempt             integer NOT NULL DEFAULT 0,
  errors              integer NOT NULL DEFAULT 0,
  lease_id            uuid,
  session_id          text,
  exit_code           integer,
  reason              text NOT NULL DEFAULT '',
  cause               text NOT NULL DEFAULT '',
  priority            integer NOT NULL DEFAULT 0,
  cancel_requested_at timestamptz,
  created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  queued_at           timestamptz,
  started_at          timestamptz,
  finished_at         timestamptz,
  UNIQUE (build_id, key),
  CONSTRAINT lease_iff_active CHECK
    ((state IN ('leased', 'running', 'finishing')) = (lease_id IS NOT NULL AND session_id IS NOT NULL)),
  CONSTRAINT step_finished_iff_over CHECK
    ((state IN ('success', 'failure', 'error', 'timeout', 'cancellation', 'skip')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80);
-- Partial, and so no key that others could refer to: a lease that begins or ends waits for nobody who refers to the step.
CREATE UNIQUE INDEX steps_by_lease ON steps (lease_id) WHERE lease_id IS NOT NULL;
CREATE INDEX steps_of_session ON steps (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX steps_unfinished ON steps (build_id)
  WHERE state IN ('waiting', 'queued', 'leased', 'running', 'finishing');

CREATE TABLE step_needs (
  step_id text NOT NULL REFERENCES steps ON DELETE CASCADE,
  need_id text NOT NULL REFERENCES steps ON DELETE CASCADE,
  PRIMARY KEY (step_id, need_id)
);
CREATE INDEX step_needs_reverse ON step_needs (need_id, step_id);

-- Narrow, and a row is deleted when its step is claimed: what waits is all that is here.
-- Whoever moves a step out of `queued` deletes its row in the same statement.
CREATE TABLE queue (
  step_id      text PRIMARY KEY COLLATE "C",
  shape_id     integer NOT NULL,
  priority     integer NOT NULL DEFAULT 0,
  order_key    bigint GENERATED ALWAYS AS IDENTITY,
  queued_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  available_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_in_order ON queue (shape_id, priority DESC, order_key);

CREATE TABLE workers (
  id                 text PRIMARY KEY COLLATE "C",
  org_id             text NOT NULL REFERENCES organizations,
  name               text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  pool               text NOT NULL DEFAULT 'default',
  token_hash         bytea UNIQUE,
  -- What the token fixes, as `k=v`, and which other keys its process may report (`*`: any).
  fixed_labels       text[] NOT NULL DEFAULT '{}',
  allowed_label_keys text[] NOT NULL DEFAULT '{}',
  -- What its process last said of itself, as far as it is allowed to.
  labels             text[] NOT NULL DEFAULT '{}',
  slots              integer NOT NULL DEFAULT 0,
  executors          text[] NOT NULL DEFAULT '{}',
  machine            jsonb NOT NULL DEFAULT '{}',
  version            text NOT NULL DEFAULT '',
  draining           boolean NOT NULL DEFAULT false,
  drain_reason       text NOT NULL DEFAULT '',
  state              text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'online', 'draining', 'offline')),
  created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_seen_at       timestamptz,
  online_since       timestamptz,
  deleted_at         timestamptz
);
CREATE UNIQUE INDEX workers_by_name ON workers (org_id, name) WHERE deleted_at IS NULL;

-- A session outlives its streams and is renewed as a whole; narrow and without an index on the time, so that a
-- renewal stays a heap-only update.
CREATE TABLE sessions (
  id              text PRIMARY KEY COLLATE "C",
  org_id          text NOT NULL,
  worker_id       text NOT NULL REFERENCES workers,
  resume_key_hash bytea NOT NULL,
  -- Grows with every stream; the newest one speaks for the session.
  stream          bigint NOT NULL DEFAULT 1,
  expires_at      timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX sessions_of_worker ON sessions (worker_id);

-- One row that any replica touches each second. Only a gap in it tells that the database was away, and for two
-- lease times after a gap nobody's lease ends.
CREATE TABLE pulse (
  one          boolean PRIMARY KEY DEFAULT true CHECK (one),
  at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  grace_until  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
INSERT INTO pulse DEFAULT VALUES;

CREATE TABLE attempts (
  id               text PRIMARY KEY COLLATE "C",
  org_id           text NOT NULL,
  build_id         text NOT NULL REFERENCES builds,
  step_id          text NOT NULL REFERENCES steps,
  number           integer NOT NULL,
  lease_id         uuid NOT NULL UNIQUE,
  session_id       text NOT NULL,
  worker_id        text NOT NULL REFERENCES workers,
  state            text NOT NULL DEFAULT 'leased' CHECK (state IN
                     ('leased', 'running', 'finishing', 'success', 'failure', 'error', 'timeout', 'cancellation')),
  leased_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at       timestamptz,
  finished_at      timestamptz,
  result_id        uuid UNIQUE,
  exit_code        integer,
  signal           text NOT NULL DEFAULT '',
  out_of_memory    boolean NOT NULL DEFAULT false,
  failed_entry     integer NOT NULL DEFAULT 0,
  reason           text NOT NULL DEFAULT '',
  cause            text NOT NULL DEFAULT '',
  -- Its chunks are in the partition of this day. The ends move by compare-and-set in the statement that inserts.
  log_day          date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
  log_end          bigint NOT NULL DEFAULT 0,
  log_lines        bigint NOT NULL DEFAULT 0,
  prepare_end      bigint NOT NULL DEFAULT 0,
  prepare_lines    bigint NOT NULL DEFAULT 0,
  -- What the worker said at the end; where log_end stayed below it, the log is incomplete.
  log_final        bigint,
  log_sha256       bytea,
  log_dropped      bigint NOT NULL DEFAULT 0,
  log_incomplete   boolean NOT NULL DEFAULT false,
  error_line       text NOT NULL DEFAULT '',
  -- When both logs lay whole in the blob store; their keys follow from the attempt's ids.
  archived_at      timestamptz,
  archive_tries    integer NOT NULL DEFAULT 0,
  -- Archiving is one replica's until this time, and a failed try rests until then.
  archive_after    timestamptz,
  UNIQUE (step_id, number),
  CONSTRAINT attempt_finished_iff_over CHECK
    ((state IN ('success', 'failure', 'error', 'timeout', 'cancellation')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX attempts_of_build ON attempts (build_id);
CREATE INDEX attempts_to_archive ON attempts (finished_at) WHERE finished_at IS NOT NULL AND archived_at IS NULL;
CREATE INDEX attempts_of_session ON attempts (session_id) WHERE finished_at IS NULL;
-- What keeps a day's partition of log_chunks.
CREATE INDEX attempts_unarchived ON attempts (log_day) WHERE archived_at IS NULL;

-- The hot tail of logs. A partition is dropped when all its logs are archived; nothing is ever deleted from one.
CREATE TABLE log_chunks (
  day          date NOT NULL,
  attempt_id   text NOT NULL COLLATE "C",
  -- 1: what the step wrote; 2: the preparation.
  kind         smallint NOT NULL CHECK (kind IN (1, 2)),
  start_offset bigint NOT NULL CHECK (start_offset >= 0),
  -- 0: marks without bytes, such as the end of a group that wrote nothing.
  raw_length   integer NOT NULL CHECK (raw_length >= 0),
  -- 1: raw, 2: zstd.
  codec        smallint NOT NULL CHECK (codec IN (1, 2)),
  -- CRC-32C of the raw bytes.
  crc32c       bigint NOT NULL,
  -- Line ends in this chunk, and in all chunks before it.
  lines        integer NOT NULL CHECK (lines >= 0),
  lines_before bigint NOT NULL CHECK (lines_before >= 0),
  -- ritmo.worker.v1.AppendLogRequest with nothing but marks, in protobuf's binary form.
  marks        bytea NOT NULL DEFAULT '',
  data         bytea NOT NULL,
  at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (day, attempt_id, kind, start_offset, raw_length)
) PARTITION BY RANGE (day);
ALTER TABLE log_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE artifacts (
  id          text PRIMARY KEY COLLATE "C",
  org_id      text NOT NULL,
  build_id    text NOT NULL REFERENCES builds,
  step_id     text NOT NULL REFERENCES steps,
  attempt_id  text NOT NULL REFERENCES attempts,
  path        text NOT NULL,
  size_bytes  bigint NOT NULL CHECK (size_bytes >= 0),
  sha256      bytea NOT NULL CHECK (length(sha256) = 32),
  mode        integer NOT NULL,
  media_type  text NOT NULL,
  object_key  text NOT NULL,
  -- The store's id of a multipart upload that is under way.
  upload_id   text,
  -- When the stored object was found to be what was promised; nothing is listed before.
  stored_at   timestamptz,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (attempt_id, path)
);
CREATE INDEX artifacts_of_build ON artifacts (build_id, path, id) WHERE stored_at IS NOT NULL;

-- What happened, in an order that readers can follow without a gap: (xid, seq) below pg_snapshot_xmin is final.
-- Partitioned by day; a partition is dropped when it is older than what Watch remembers.
CREATE TABLE events (
  day       date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
  xid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq       bigint GENERATED ALWAYS AS IDENTITY,
  org_id    text NOT NULL,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind      text NOT NULL CHECK (kind IN ('build', 'step', 'worker', 'job')),
  build_id  text,
  payload   jsonb NOT NULL,
  PRIMARY KEY (day, xid, seq)
) PARTITION BY RANGE (day);
CREATE INDEX events_in_order ON events (xid, seq);
CREATE INDEX events_of_build ON events (build_id, xid, seq) WHERE build_id IS NOT NULL;

-- The last event that was in a dropped partition: who was not past it has missed something.
CREATE TABLE events_dropped (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  xid xid8 NOT NULL DEFAULT '0',
  seq bigint NOT NULL DEFAULT 0
);
INSERT INTO events_dropped DEFAULT VALUES;

-- Makes the partitions of a day, if they are not there. Called ahead of time by upkeep, and by the migrator. A table
-- that is attached leaves readers and writers of the whole alone; PARTITION OF would wait for every reader, with every
-- writer behind it. What is attached is empty, so there is nothing that its bounds must be checked against.
CREATE FUNCTION make_day_partitions(wanted date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  whole text;
  part text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ritmo.make_day_partitions'));
  FOREACH whole IN ARRAY ARRAY['log_chunks', 'events'] LOOP
    part := format('%s_%s', whole, to_char(wanted, 'YYYYMMDD'));
    CONTINUE WHEN to_regclass(part) IS NOT NULL;
    -- Numbers are given by the whole's sequence; a part with one of its own can't be attached.
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)', part, whole);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', whole, part, wanted, wanted + 1);
  END LOOP;
END $$;

-- Which state may follow which. The statements that move a row guard this themselves; the table and its trigger are
-- the second lock on the door.
CREATE TABLE allowed_moves (
  subject text NOT NULL,
  before  text NOT NULL,
  after   text NOT NULL,
  PRIMARY KEY (subject, before, after)
);
INSERT INTO allowed_moves (subject, before, after)
SELECT 'build', b, a FROM (VALUES
  ('pending', ARRAY['running', 'success', 'failure', 'error', 'timeout', 'cancellation', 'skip']),
  ('running', ARRAY['success', 'failure', 'error', 'timeout', 'cancellation', 'skip']),
  -- A retry reopens a build.
  ('failure', ARRAY['running']), ('error', ARRAY['running']), ('timeout', ARRAY['running']),
  ('cancellation', ARRAY['running']), ('skip', ARRAY['running'])
) m(b, after) CROSS JOIN LATERAL unnest(after) a
UNION ALL
SELECT 'step', b, a FROM (VALUES
  ('waiting', ARRAY['queued', 'skip', 'cancellation']),
  ('queued', ARRAY['leased', 'cancellation', 'error']),
  ('leased', ARRAY['running', 'finishing', 'queued', 'success', 'failure', 'error', 'timeout', 'cancellation']),
  ('running', ARRAY['finishing', 'queued', 'success', 'failure', 'error', 'timeout', 'cancellation']),
  ('finishing', ARRAY['queued', 'success', 'failure', 'error', 'timeout', 'cancellation']),
  -- A retry opens what did not succeed.
  ('failure', ARRAY['waiting', 'queued']), ('error', ARRAY['waiting', 'queued']), ('timeout', ARRAY['waiting', 'queued']),
  ('cancellation', ARRAY['waiting', 'queued']), ('skip', ARRAY['waiting', 'queued'])
) m(b, after) CROSS JOIN LATERAL unnest(after) a;

-- Every change of a build's state, or of its wish to be cancelled, is an event in the same transaction.
CREATE FUNCTION tell_build() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE job_name text;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.state = OLD.state AND NEW.cancel_requested_at IS NOT DISTINCT FROM OLD.cancel_requested_at
       AND NEW.commit IS NOT DISTINCT FROM OLD.commit THEN
      RETURN NULL;
    END IF;
    IF NEW.state <> OLD.state AND NOT EXISTS
       (SELECT FROM allowed_moves WHERE subject = 'build' AND before = OLD.state AND after = NEW.state) THEN
      RAISE EXCEPTION 'a build can not go from % to %', OLD.state, NEW.state USING ERRCODE = 'RT001';
    END IF;
  END IF;
  SELECT name INTO job_name FROM jobs WHERE id = NEW.job_id;
  INSERT INTO events (org_id, kind, build_id, payload) VALUES (NEW.org_id, 'build', NEW.id, jsonb_build_object(
    'build_id', NEW.id, 'name', job_name || '#' || NEW.number, 'job_id', NEW.job_id, 'state', NEW.state,
    'before', CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, 'reason', NEW.reason, 'cause', NEW.cause,
    'revision', NEW.revision, 'cancel_requested', NEW.cancel_requested_at IS NOT NULL));
  RETURN NULL;
END $$;
CREATE TRIGGER tell_build AFTER INSERT OR UPDATE ON builds FOR EACH ROW EXECUTE FUNCTION tell_build();

CREATE FUNCTION tell_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE build_name text;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.state = OLD.state AND NEW.attempt = OLD.attempt THEN
      RETURN NULL;
    END IF;
    IF NEW.state <> OLD.state AND NOT EXISTS
       (SELECT FROM allowed_moves WHERE subject = 'step' AND before = OLD.state AND after = NEW.state) THEN
      RAISE EXCEPTION 'a step can not go from % to %', OLD.state, NEW.state USING ERRCODE = 'RT001';
    END IF;
  END IF;
  SELECT j.name || '#' || b.number INTO build_name FROM builds b JOIN jobs j ON j.id = b.job_id WHERE b.id = NEW.build_id;
  INSERT INTO events (org_id, kind, build_id, payload) VALUES (NEW.org_id, 'step', NEW.build_id, jsonb_build_object(
    'step_id', NEW.id, 'name', build_name || '/' || NEW.key, 'build_id', NEW.build_id, 'state', NEW.state,
    'before', CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, 'attempt', NEW.attempt, 'exit_code', NEW.exit_code,
    'reason', NEW.reason, 'cause', NEW.cause));
  RETURN NULL;
END $$;
CREATE TRIGGER tell_step AFTER INSERT OR UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION tell_step();

CREATE FUNCTION tell_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.state = OLD.state AND NEW.draining = OLD.draining AND NEW.drain_reason = OLD.drain_reason
     AND NEW.deleted_at IS NOT DISTINCT FROM OLD.deleted_at THEN
    RETURN NULL;
  END IF;
  INSERT INTO events (org_id, kind, payload) VALUES (NEW.org_id, 'worker', jsonb_build_object(
    'worker_id', NEW.id, 'name', NEW.name, 'state', NEW.state, 'reason', NEW.drain_reason,
    'deleted', NEW.deleted_at IS NOT NULL));
  RETURN NULL;
END $$;
CREATE TRIGGER tell_worker AFTER INSERT OR UPDATE ON workers FOR EACH ROW EXECUTE FUNCTION tell_worker();

CREATE FUNCTION tell_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Numbering builds is no change of the job.
  IF TG_OP = 'UPDATE' AND NEW.revision = OLD.revision THEN
    RETURN NULL;
  END IF;
  INSERT INTO events (org_id, kind, payload) VALUES (NEW.org_id, 'job', jsonb_build_object(
    'job_id', NEW.id, 'name', NEW.name, 'deleted', NEW.deleted_at IS NOT NULL));
  RETURN NULL;
END $$;
CREATE TRIGGER tell_job AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION tell_job();

INSERT INTO organizations (id, name) VALUES ('org_default', 'default');
SELECT make_day_partitions((clock_timestamp() AT TIME ZONE 'UTC')::date + d) FROM generate_series(-1, 2) d;
