import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { migrate } from "../../control-plane/store/migrate.ts";
import { openDatabase } from "../../control-plane/store/open-database.ts";
import { startPostgres } from "../../postgres/start-postgres.ts";
import { openLogger } from "../../process/logger.ts";
import { startRitmo } from "../start-ritmo.ts";
import type { Bench } from "./bench.ts";
import { printTable, type Row } from "./figures.ts";
import { measureArtifacts } from "./measure-artifacts.ts";
import { measureClaim } from "./measure-claim.ts";
import { measureFollower } from "./measure-follower.ts";
import { measureLargeLog } from "./measure-large-log.ts";
import { measureLog } from "./measure-log.ts";
import { measureStart } from "./measure-start.ts";
import { measureProcessSteps, measureSteps } from "./measure-steps.ts";
import { measureStreams } from "./measure-streams.ts";

const MEASURES: Record<string, (bench: Bench) => Promise<Row[]>> = {
  start: measureStart,
  steps: measureSteps,
  processes: measureProcessSteps,
  log: measureLog,
  follower: measureFollower,
  large: measureLargeLog,
  artifacts: measureArtifacts,
  streams: measureStreams,
  claim: measureClaim,
};

/**
 * `npm run bench [-- --only start,log] [--quick]`: measures the spine on real processes and the embedded PostgreSQL,
 * each figure beside its limit in the same run. Asserts nothing: machines differ, and the ratio is what to compare.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string" }, quick: { type: "boolean", default: false } } });
  const chosen = values.only?.split(",") ?? Object.keys(MEASURES);
  const unknown = chosen.find((name) => !(name in MEASURES));
  if (unknown) throw new Error(`--only takes ${Object.keys(MEASURES).join(", ")}; ${unknown} is none of them`);
  const rows: Row[] = [];
  for (const name of chosen)
    rows.push(...(await withBench(values.quick, MEASURES[name] as (b: Bench) => Promise<Row[]>)));
  process.stdout.write(
    `${cpus().length} cores, Node ${process.version}, embedded PostgreSQL with fsync\n\n${printTable(rows)}\n`,
  );
}

/** A database and processes of its own for each measure, so that none inherits another's leavings. */
async function withBench(quick: boolean, measure: (bench: Bench) => Promise<Row[]>): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-bench-"));
  chmodSync(folder, 0o755);
  const server = await startPostgres({ folder: join(folder, "postgres") });
  const db = openDatabase({ url: server.url });
  try {
    await migrate(db, openLogger("bench", "silent"));
    await using ritmo = await startRitmo({ databaseUrl: server.url, db });
    return await measure({ ritmo, db, databaseUrl: server.url, quick });
  } finally {
    await db.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
