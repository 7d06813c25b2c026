import { expect, test } from "vitest";
import { attendingWorker } from "../../testing/build-fixture.ts";
import { seeded } from "../../testing/chaos/random.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { openStormBuild, type Quiet, Storm } from "../../testing/storm.ts";

// Many verbs at once on few builds. What must hold is then read from the tables and the events. RITMO_SEED repeats a
// run's choices; what happens at the same time is the machine's.

const BUILDS = 5;
const ACTORS = 8;
const VERBS = 400;

interface Told {
  id: string;
  kind: "build" | "step";
  buildId: string;
  state: string;
  before: string | null;
  attempt: number | null;
  at: Date;
}

/** Events of builds and steps, each subject's in the order in which its row was changed. */
function readTold({ db }: FreshDatabase) {
  return db.sql<Told[]>`
    SELECT coalesce(payload->>'step_id', payload->>'build_id') AS id, kind, build_id AS "buildId",
      payload->>'state' AS state, payload->>'before' AS before, (payload->>'attempt')::int AS attempt, at
    FROM events WHERE kind IN ('build', 'step') ORDER BY seq`;
}

async function expectNothingLost({ db }: FreshDatabase) {
  const lost = await db.sql`
    SELECT s.id FROM steps s LEFT JOIN queue q ON q.step_id = s.id WHERE (s.state = 'queued') <> (q.step_id IS NOT NULL)`;
  expect(lost, "I4: queued steps and places in the queue are the same").toEqual([]);
}

async function expectFencedBytes({ db }: FreshDatabase) {
  const late = await db.sql`
    SELECT a.id FROM log_chunks c JOIN attempts a ON a.id = c.attempt_id WHERE c.at > a.finished_at`;
  expect(late, "I2: no byte was taken after the end of its attempt").toEqual([]);
  const torn = await db.sql`
    SELECT a.id FROM attempts a WHERE log_end <> coalesce((SELECT sum(raw_length) FROM log_chunks c WHERE c.attempt_id = a.id), 0)`;
  expect(torn, "I2: each log ends where its bytes do").toEqual([]);
}

async function expectOneHolderAndOneEnd({ db }: FreshDatabase) {
  const odd = await db.sql`
    SELECT s.id FROM steps s LEFT JOIN attempts a ON a.step_id = s.id
    GROUP BY s.id HAVING s.attempt <> count(a.id) OR s.attempt <> coalesce(max(a.number), 0)
      OR count(a.id) FILTER (WHERE a.finished_at IS NULL) > 0 OR (s.state = 'success') <> coalesce(bool_or(a.state = 'success'), false)
      OR count(*) FILTER (WHERE a.state = 'success') > 1`;
  expect(odd, "I1, I3: every leasing is one attempt with one end, and one success ends a step").toEqual([]);
}

async function expectDecided({ db }: FreshDatabase) {
  const early = await db.sql`
    SELECT w.id FROM attempts a JOIN step_needs n ON n.step_id = a.step_id JOIN steps w ON w.id = n.step_id
    WHERE a.leased_at < (SELECT max(d.finished_at) FROM attempts d WHERE d.step_id = n.need_id AND d.state = 'success')
      OR NOT EXISTS (SELECT FROM attempts d WHERE d.step_id = n.need_id AND d.state = 'success')`;
  expect(early, "I16: a step begins after all that it needs has succeeded").toEqual([]);
  const wrong = await db.sql`
    SELECT b.state, array_agg(s.state) FROM builds b JOIN steps s ON s.build_id = b.id GROUP BY b.id
    HAVING (b.state = 'success') <> bool_and(s.state = 'success') OR bool_or(s.finished_at IS NULL)`;
  expect(wrong, "I3: a build is green if and only if all of its steps are").toEqual([]);
}

function expectChains(told: Told[]) {
  for (const events of Map.groupBy(told, (event) => event.id).values()) {
    let attempt = 0;
    for (const [i, event] of events.entries()) {
      const earlier = events[i - 1];
      if (earlier) expect(event.before, `I13: what came before ${event.state}`).toBe(earlier.state);
      if (earlier) expect(event.at >= earlier.at, "I13: time never decreases").toBe(true);
      if (event.state === "leased") expect(event.attempt, "I1: attempts are numbered without a gap").toBe(++attempt);
    }
  }
}

function expectQuiet(told: Told[], quiet: Quiet[]) {
  for (const { buildId, from, until } of quiet) {
    const begun = told.filter(
      (event) =>
        event.buildId === buildId && event.state === "leased" && event.at > from && (!until || event.at < until),
    );
    expect(begun, "I8: nothing begins after a cancel was answered").toEqual([]);
  }
}

test("whatever verbs meet whatever others, no invariant breaks and everything ends", async () => {
  const seed = Number(process.env["RITMO_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  await using fresh = await freshDatabase();
  const random = seeded(seed);
  const builds = await Promise.all(Array.from({ length: BUILDS }, () => openStormBuild(fresh)));
  const workers = await Promise.all(Array.from({ length: 3 }, () => attendingWorker(fresh.db, { leaseSeconds: 600 })));
  const storm = new Storm(fresh, builds, workers, random);
  try {
    await Promise.all(Array.from({ length: ACTORS }, () => storm.actor(VERBS)));
    expect(storm.faults).toEqual([]);
    await expectNothingLost(fresh);
    await storm.calm();
    await expectNothingLost(fresh);
    await expectFencedBytes(fresh);
    await expectOneHolderAndOneEnd(fresh);
    await expectDecided(fresh);
    const told = await readTold(fresh);
    expectChains(told);
    expectQuiet(told, storm.quiet);
    // That there was a storm at all.
    expect(storm.leases.length).toBeGreaterThan(20);
    expect(storm.quiet.length).toBeGreaterThan(3);
  } catch (reason) {
    throw new Error(`with RITMO_SEED=${seed}`, { cause: reason });
  }
}, 60_000);
