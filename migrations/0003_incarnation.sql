-- How a database knows that it was restored to an earlier moment, so that nothing of the life it had after that moment
-- is taken up again.

-- Where this database is: the cluster, the database in it, and the timeline of its log. A dump that is loaded, a base
-- backup that is recovered, a standby that is promoted and a copied database are each somewhere else.
CREATE FUNCTION database_place() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  cluster  text := '';
  timeline text := '';
BEGIN
  -- A provider may keep either to itself; what is left still tells most restores.
  BEGIN
    cluster := (SELECT system_identifier FROM pg_control_system());
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  BEGIN
    timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN cluster || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || timeline;
END $$;

CREATE TABLE incarnation (
  one          boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- Which Ritmo this is; it stays whatever happens, and the object store bears it too.
  installation uuid NOT NULL DEFAULT gen_random_uuid(),
  -- Another one in each life. Cursors of events carry it.
  id           uuid NOT NULL DEFAULT gen_random_uuid(),
  number       bigint NOT NULL DEFAULT 1,
  place        text NOT NULL DEFAULT database_place(),
  since        timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO incarnation DEFAULT VALUES;

-- Only ever grows within a life: less than was seen before means that the time was turned back.
ALTER TABLE pulse ADD COLUMN beats bigint NOT NULL DEFAULT 0;
