import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { BuildService, BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { newId } from "../../process/new-id.ts";
import { type Bench, bareSteps } from "./bench.ts";
import { type Row, round } from "./figures.ts";
import { sampleText, writeSampleText } from "./sample-text.ts";

const MIB = 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

/** Durable log bytes: from a step's first byte to its end, which waits until all of them are acknowledged. */
export async function measureLog(bench: Bench): Promise<Row[]> {
  const { ritmo, quick } = bench;
  const mib = quick ? 16 : 128;
  await ritmo.startWorker("w1", { RITMO_SLOTS: "16", RITMO_LOG_LEVEL: "warn" });
  const rows: Row[] = [];
  for (const streams of quick ? [1] : [1, 4, 16]) {
    const each = Math.max(8, Math.floor(mib / streams));
    const reached = await measureStreams(bench, streams, each);
    const bare = await measureBare(bench, streams, each);
    rows.push({
      measure: `log ingest, durable, ordinary text, ${streams} stream${streams === 1 ? "" : "s"}`,
      reached: `${round(reached)} MB/s`,
      limit: `${round(bare)} MB/s`,
      limitIs: "the same compressed inserts bare",
      ratio: (reached / bare).toFixed(2),
    });
  }
  return rows;
}

async function measureStreams({ ritmo }: Bench, streams: number, mib: number): Promise<number> {
  const job = `log-${streams}`;
  const file = join(ritmo.folder, `${job}.txt`);
  writeSampleText(file, mib * MIB);
  await ritmo.createJob(job, "", bareSteps(streams, `cat ${file}`));
  const build = await ritmo.untilOver(await ritmo.run(job), 600_000);
  if (build.state !== BuildState.SUCCESS) throw new Error(`${build.name}: ${build.cause}`);
  const all = await Promise.all(
    Array.from({ length: streams }, (_, i) => ritmo.client(BuildService).listAttempts({ step: `${build.name}/s${i}` })),
  );
  const attempts = all.flatMap((one) => one.attempts);
  const bytes = attempts.reduce((sum, attempt) => sum + Number(attempt.logBytes), 0);
  const from = Math.min(...attempts.map((attempt) => (attempt.startedAt ? timestampMs(attempt.startedAt) : 0)));
  const to = Math.max(...attempts.map((attempt) => (attempt.finishedAt ? timestampMs(attempt.finishedAt) : 0)));
  return bytes / 1e6 / ((to - from) / 1000);
}

async function measureBare({ db }: Bench, streams: number, mib: number): Promise<number> {
  const raw = sampleText(CHUNK_BYTES).subarray(0, CHUNK_BYTES);
  const packed = zstdCompressSync(raw, { params: { 100: 1 } });
  const chunks = (mib * MIB) / CHUNK_BYTES;
  const before = performance.now();
  await Promise.all(
    Array.from({ length: streams }, async () => {
      const attempt = newId("att");
      for (let i = 0; i < chunks; i++) {
        await db.sql`
          INSERT INTO log_chunks (day, attempt_id, kind, start_offset, raw_length, codec, crc32c, lines, lines_before, data)
          VALUES ((clock_timestamp() AT TIME ZONE 'UTC')::date, ${attempt}, 1, ${i * CHUNK_BYTES}, ${CHUNK_BYTES}, 2, 0, 0, 0, ${packed})`;
      }
    }),
  );
  return (streams * mib * MIB) / 1e6 / ((performance.now() - before) / 1000);
}
