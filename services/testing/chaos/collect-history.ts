import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import type { Db } from "../../control-plane/store/open-database.ts";
import type { Ritmo } from "../start-ritmo.ts";
import { logOf } from "../witness.ts";
import type { Asked } from "./ask-for-builds.ts";
import type { ArtifactFact, AttemptFact, BuildFact, EventFact, History, StepFact, Witnessed } from "./history.ts";
import type { World } from "./world.ts";

/** Asks every side what happened: the database, the services as people call them, and the steps' own files. */
export async function collectHistory({ ritmo, db, witnessFolder }: World, asked: Asked[]): Promise<History> {
  const cancelled = new Map(asked.map(({ build, cancelAnsweredAtMs }) => [build, cancelAnsweredAtMs]));
  const builds = await db.sql<{ name: string; state: string }[]>`
    SELECT j.name || '#' || b.number AS name, b.state FROM builds b JOIN jobs j ON j.id = b.job_id`;
  const attempts = await readAttempts(db, ritmo);
  return {
    asked,
    builds: builds.map((build): BuildFact => ({ ...build, cancelAnsweredAtMs: cancelled.get(build.name) })),
    steps: await readSteps(db),
    attempts,
    artifacts: await readArtifacts(db, ritmo),
    events: await readEvents(db),
    witnessed: readWitnesses(witnessFolder),
    left: await readLeft(db),
  };
}

const STEP_NAME = "j.name || '#' || b.number || '/' || s.key";

async function readSteps(db: Db): Promise<StepFact[]> {
  return await db.sql<StepFact[]>`
    SELECT ${db.sql.unsafe(STEP_NAME)} AS name, j.name || '#' || b.number AS build, s.state, s.exit_code AS "exitCode",
      s.attempt, ARRAY(SELECT j.name || '#' || b.number || '/' || d.key
        FROM step_needs n JOIN steps d ON d.id = n.need_id WHERE n.step_id = s.id) AS needs
    FROM steps s JOIN builds b ON b.id = s.build_id JOIN jobs j ON j.id = b.job_id`;
}

async function readAttempts(db: Db, ritmo: Ritmo): Promise<AttemptFact[]> {
  const rows = await db.sql<Omit<AttemptFact, "log">[]>`
    SELECT ${db.sql.unsafe(STEP_NAME)} || '@' || a.number AS name, ${db.sql.unsafe(STEP_NAME)} AS step, a.number, a.state,
      a.reason, extract(epoch FROM a.leased_at)::float8 * 1000 AS "leasedAtMs", a.log_end AS "logEnd",
      a.log_incomplete AS incomplete
    FROM attempts a JOIN steps s ON s.id = a.step_id JOIN builds b ON b.id = a.build_id JOIN jobs j ON j.id = b.job_id`;
  const facts: AttemptFact[] = [];
  for (const row of rows) facts.push({ ...row, log: await logOf(ritmo, row.name) });
  return facts;
}

async function readArtifacts(db: Db, ritmo: Ritmo): Promise<ArtifactFact[]> {
  const client = ritmo.client(ArtifactService);
  const attempts = await db.sql<{ id: string; name: string }[]>`
    SELECT a.id, ${db.sql.unsafe(STEP_NAME)} || '@' || a.number AS name
    FROM attempts a JOIN steps s ON s.id = a.step_id JOIN builds b ON b.id = a.build_id JOIN jobs j ON j.id = b.job_id`;
  const names = new Map(attempts.map(({ id, name }) => [id, name]));
  const builds = new Set(attempts.map(({ name }) => name.split("/")[0] ?? ""));
  const facts: ArtifactFact[] = [];
  for (const build of builds) {
    for (const { id, path, sha256, attemptId } of (await client.listArtifacts({ build })).artifacts) {
      const hash = createHash("sha256");
      for await (const { data } of client.downloadArtifact({ id })) hash.update(data);
      facts.push({ attempt: names.get(attemptId) ?? attemptId, path, sha256, foundSha256: hash.digest("hex") });
    }
  }
  return facts;
}

async function readEvents(db: Db): Promise<EventFact[]> {
  return await db.sql<EventFact[]>`
    SELECT payload ->> 'name' AS subject, coalesce(payload ->> 'before', NULL) AS before, payload ->> 'state' AS state,
      coalesce((payload ->> 'attempt')::int, 0) AS attempt
    FROM events WHERE kind IN ('build', 'step') ORDER BY seq`.then((rows) =>
    rows.map((row) => ({ ...row, before: row.before ?? undefined })),
  );
}

async function readLeft(db: Db): Promise<History["left"]> {
  const [row] = await db.sql<[History["left"]]>`
    SELECT (SELECT count(*)::int FROM queue) AS queued,
      (SELECT count(*)::int FROM steps WHERE lease_id IS NOT NULL) AS leased`;
  return row;
}

/** `build/step@n` by its files `.life`, `.log` and `.sha256`. */
function readWitnesses(folder: string): Map<string, Witnessed> {
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  };
  const lives = readdirSync(folder).flatMap((build) =>
    readdirSync(join(folder, build))
      .filter((name) => name.endsWith(".life"))
      .map((name) => `${build}/${name.slice(0, -".life".length)}`),
  );
  return new Map(
    lives.map((name): [string, Witnessed] => {
      const path = join(folder, name);
      const life = (read(`${path}.life`) ?? "").split("\n").map((line) => line.split(" "));
      const end = life.find(([word]) => word === "end");
      return [
        name,
        {
          wrote: read(`${path}.log`) ?? "",
          startedAtMs: Number(life[0]?.[1]),
          starts: life.filter(([word]) => word === "start").length,
          endedAtMs: end && Number(end[1]),
          exitCode: end && Number(end[2]),
          artifactSha256: read(`${path}.sha256`)?.trim() || undefined,
        },
      ];
    }),
  );
}
