import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildService, BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { Client } from "minio";
import { type Ritmo, startRitmo } from "../start-ritmo.ts";
import { findWeed, startWeed } from "../start-weed.ts";
import { type Bench, bareSteps } from "./bench.ts";
import { type Row, round } from "./figures.ts";

const MIB = 1024 * 1024;

interface Bare {
  /** Puts a file into the store by plain HTTP and answers where it can be got. */
  put(file: string): Promise<void>;
  get(to: string): Promise<void>;
}

/** One large artifact up and down, beside a plain HTTP PUT and GET of the same file and the same kind of store. */
export async function measureArtifacts(bench: Bench): Promise<Row[]> {
  const rows = await measureStore(bench, bench.ritmo, "file store", (file) => plainServer(file));
  const weed = findWeed();
  if (!weed) return rows;
  await using s3 = await startWeed(weed);
  const bucket = await s3.makeBucket();
  const env = {
    RITMO_BLOB_DIR: "",
    RITMO_S3_ENDPOINT: s3.endpoint,
    RITMO_S3_BUCKET: bucket,
    RITMO_S3_ACCESS_KEY_ID: s3.accessKeyId,
    RITMO_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
  await using ritmo = await startRitmo({ databaseUrl: bench.databaseUrl, db: bench.db, env });
  const { hostname, port } = new URL(s3.endpoint);
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = s3;
  const client = new Client({ endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey });
  const signed = async (): Promise<Bare & AsyncDisposable> => ({
    put: async (file) => upload(await client.presignedPutObject(bucket, "bare"), file),
    get: async (to) => download(await client.presignedGetObject(bucket, "bare"), to),
    async [Symbol.asyncDispose]() {},
  });
  return [...rows, ...(await measureStore(bench, ritmo, "S3 (SeaweedFS)", signed))];
}

async function measureStore(
  { quick }: Bench,
  ritmo: Ritmo,
  store: string,
  openBare: (file: string) => Promise<Bare & AsyncDisposable>,
): Promise<Row[]> {
  const bytes = (quick ? 64 : 1024) * MIB;
  const name = store.replace(/\W+/g, "-").toLowerCase().replace(/-$/, "");
  await ritmo.startWorker(`artifacts-${name}`, { RITMO_LOG_LEVEL: "warn" });
  const make = `head -c ${bytes} /dev/urandom > big`;
  const plain = await secondsOf(ritmo, `${name}-plain`, make, "");
  const kept = await secondsOf(ritmo, `${name}-kept`, make, ', artifacts: ["big"]');
  const artifacts = ritmo.client(ArtifactService);
  const id = (await artifacts.listArtifacts({ build: kept.build })).artifacts[0]?.id ?? "";
  const to = join(ritmo.folder, "downloaded");
  const down = await timed(async () => {
    const { url } = await artifacts.getDownloadUrl({ id });
    await download(url, to);
  });
  await using bare = await openBare(join(ritmo.folder, "bare"));
  const bareUp = await timed(() => bare.put(to));
  const bareDown = await timed(() => bare.get(`${to}-bare`));
  const row = (what: string, took: number, bareTook: number, limitIs: string): Row => ({
    measure: `artifact of ${bytes / MIB} MiB ${what}, ${store}`,
    reached: `${round(bytes / 1e6 / took)} MB/s`,
    limit: `${round(bytes / 1e6 / bareTook)} MB/s`,
    limitIs,
    ratio: (bareTook / took).toFixed(2),
  });
  return [
    row(
      "up, its digest first",
      Math.max(0.001, kept.seconds - plain.seconds),
      bareUp,
      "a plain HTTP PUT, made durable",
    ),
    row("down", down, bareDown, "a plain HTTP GET"),
  ];
}

/** From the start of the only step of a build to its end, with what it delivers. */
async function secondsOf(ritmo: Ritmo, job: string, run: string, more: string) {
  await ritmo.createJob(job, "", bareSteps(1, run, { more }));
  const build = await ritmo.untilOver(await ritmo.run(job), 600_000);
  if (build.state !== BuildState.SUCCESS) throw new Error(`${build.name}: ${build.cause}`);
  const { attempts } = await ritmo.client(BuildService).listAttempts({ step: `${build.name}/s0` });
  const { startedAt, finishedAt } = attempts[0] ?? {};
  if (!startedAt || !finishedAt) throw new Error(`${build.name} has no times`);
  return { build: build.name, seconds: (timestampMs(finishedAt) - timestampMs(startedAt)) / 1000 };
}

async function timed(run: () => Promise<void>): Promise<number> {
  const before = performance.now();
  await run();
  return (performance.now() - before) / 1000;
}

async function upload(url: string, file: string): Promise<void> {
  const { size } = await stat(file);
  const call = request(url, { method: "PUT", headers: { "content-length": size } });
  const answered = new Promise<void>((resolve, reject) => {
    call.once("response", (response) => {
      response.resume();
      if (response.statusCode === 200) response.once("end", () => resolve());
      else reject(new Error(`PUT answered ${response.statusCode}`));
    });
    call.once("error", reject);
  });
  await pipeline(createReadStream(file), call);
  await answered;
}

async function download(url: string, to: string): Promise<void> {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`GET answered ${response.status}`);
  await pipeline(response.body, createWriteStream(to));
}

/** What `curl` would talk to: a server that keeps one file, its digest and its durability, and nothing else. */
async function plainServer(file: string): Promise<Bare & AsyncDisposable> {
  const server = createServer(async (call, response) => {
    if (call.method === "GET") return pipeline(createReadStream(file), response);
    const hash = createHash("sha256");
    call.on("data", (bytes: Buffer) => hash.update(bytes));
    await pipeline(call, createWriteStream(file, { flush: true }));
    response.end(hash.digest("hex"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    put: (path) => upload(url, path),
    get: (to) => download(url, to),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
