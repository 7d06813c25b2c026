import { claimSteps } from "../../control-plane/queue/claim-steps.ts";
import { attendingWorker, runningBuild } from "../build-fixture.ts";
import type { Bench } from "./bench.ts";
import { percentile, type Row, spread } from "./figures.ts";

/** One claim of one step: in an empty database, behind a thousand and a hundred thousand queued steps, and after a million builds. */
export async function measureClaim(bench: Bench): Promise<Row[]> {
  const { quick } = bench;
  const claims = quick ? 50 : 500;
  const empty = await claim(bench, claims, claims);
  const rows: Row[] = [];
  const add = (what: string, took: number[]) =>
    rows.push({
      measure: `claim of a step, ${what}`,
      reached: spread(took),
      limit: spread(empty),
      limitIs: "in an empty database",
      ratio: `${(percentile(took, 99) / percentile(empty, 99)).toFixed(1)} at p99`,
    });
  for (const queued of quick ? [1_000] : [1_000, 100_000]) {
    add(`${queued.toLocaleString("en")} queued`, await claim(bench, claims, queued));
  }
  const builds = quick ? 10_000 : 1_000_000;
  await finishBuilds(bench, builds);
  const behind = `${quick ? "1,000" : "100,000"} queued and ${builds.toLocaleString("en")} finished builds`;
  add(behind, await claim(bench, claims, quick ? 1_000 : 100_000));
  return rows;
}

/** Milliseconds of each claim, while so many steps are queued. */
async function claim({ db }: Bench, claims: number, queued: number): Promise<number[]> {
  const requires = [`bench=${queued}-${Math.random()}`];
  for (let left = queued, size = 10_000; left > 0; left -= size) {
    await runningBuild(
      db,
      Array.from({ length: Math.min(left, size) }, (_, i) => ({ key: `s${i}`, requires })),
    );
  }
  await db.sql`ANALYZE queue, steps, builds, attempts`;
  const worker = await attendingWorker(db, { labels: requires, leaseSeconds: 3600 });
  const took: number[] = [];
  for (let i = 0; i < claims + 10; i++) {
    const before = performance.now();
    await claimSteps(db, { ...worker.claimant, labels: requires, freeSlots: 1 });
    if (i >= 10) took.push(performance.now() - before);
  }
  await db.sql`DELETE FROM queue`;
  return took.slice(0, claims - 10);
}

/** Builds that are over, with a step each, as a database has them after years; written without their events. */
async function finishBuilds({ db }: Bench, count: number): Promise<void> {
  const pattern = await runningBuild(db, [{ key: "s0" }]);
  const batch = 50_000;
  for (let from = 0; from < count; from += batch) {
    await db.transaction(async (tx) => {
      await tx`SET LOCAL statement_timeout = 0`;
      await tx`SET LOCAL session_replication_role = replica`;
      await tx`
        INSERT INTO builds (id, org_id, job_id, number, state, repository, source_kind, source_name, commit, created_by, step_count, finished_at)
        SELECT 'bld_' || lpad(n::text, 26, '0'), org_id, job_id, n, 'success', repository, source_kind, source_name, commit, created_by, 1, clock_timestamp()
        FROM builds, generate_series(${from + 10}::bigint, ${from + 9 + Math.min(batch, count - from)}::bigint) n WHERE id = ${pattern}`;
      await tx`
        INSERT INTO steps (id, org_id, build_id, key, position, spec, shape_id, state, attempt, finished_at)
        SELECT 'stp_' || lpad(n::text, 26, '0'), org_id, 'bld_' || lpad(n::text, 26, '0'), key, position, spec, shape_id, 'success', 1, clock_timestamp()
        FROM steps, generate_series(${from + 10}::bigint, ${from + 9 + Math.min(batch, count - from)}::bigint) n WHERE build_id = ${pattern}`;
    });
  }
  await db.sql`DELETE FROM queue`;
}
