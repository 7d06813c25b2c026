import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { BuildService, BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sleep } from "../process/wait.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { makeAuthority } from "../testing/make-certificate.ts";
import { identifyProcess } from "./process-identity.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const UP_WITHIN = { timeout: 60_000, interval: 50 };

let folder: string;
const started: ChildProcess[] = [];

interface Up {
  child: ChildProcess;
  output(): string;
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | string | null>;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-up-"));
  // PostgreSQL runs as another user when this runs as root.
  expect(spawn("chmod", ["755", folder]).pid).toBeDefined();
});
afterAll(() => {
  for (const pid of processesOf(folder)) process.kill(pid, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function up(dataDir: string, settings: Record<string, string> = {}): Up {
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      HOME: folder,
      XDG_CONFIG_HOME: join(folder, "config"),
      RITMO_DATA_DIR: join(folder, dataDir),
      RITMO_LISTEN: "127.0.0.1:0",
      RITMO_WORKER_LISTEN: "127.0.0.1:0",
      RITMO_METRICS_LISTEN: "127.0.0.1:0",
      ...settings,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  child.stderr.on("data", (data) => (text += data));
  const ended = new Promise<number | string | null>((resolve) =>
    child.once("close", (code, by) => resolve(by ?? code)),
  );
  return { child, output: () => text, ended };
}

async function untilUp(one: Up): Promise<string> {
  await expect.poll(one.output, UP_WITHIN).toContain("Ctrl-C stops it all");
  return /Ritmo is ready in [\d.]+ s {3}(\S+)/.exec(one.output())?.[1] as string;
}

function isSleeper(pid: number): boolean {
  try {
    const [program, seconds] = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
    return program === "sleep" && ["1000", "1001"].includes(seconds ?? "");
  } catch {
    return false;
  }
}

/** Every living process that has anything to do with a folder: by its environment, its place or its arguments. */
function processesOf(place: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => identifyProcess(pid) !== undefined && mentions(pid, place));
}

function mentions(pid: number, place: string): boolean {
  try {
    const text = ["environ", "cmdline"].map((file) => readFileSync(`/proc/${pid}/${file}`, "latin1")).join("\0");
    return text.includes(place) || readlinkSync(`/proc/${pid}/cwd`).startsWith(place);
  } catch {
    return false;
  }
}

interface Context {
  server: string;
  token: string;
  dataDir: string;
}
function context(dataDir: string): Context {
  const { contexts } = JSON.parse(readFileSync(join(folder, "config/ritmo/contexts.json"), "utf8"));
  return Object.values<Context>(contexts).find((one) => one.dataDir === join(folder, dataDir)) as Context;
}
const recorded = (dataDir: string): { name: string; pid: number }[] =>
  JSON.parse(readFileSync(join(folder, dataDir, "processes.json"), "utf8"));

/** As the command line does: the address and the token that `up` wrote. */
function transport(dataDir: string) {
  const { server, token } = context(dataDir);
  return createConnectTransport({
    baseUrl: server,
    httpVersion: "1.1",
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}
const builds = (dataDir: string) => createClient(BuildService, transport(dataDir));
const jobs = (dataDir: string) => createClient(JobService, transport(dataDir));

async function stateOf(dataDir: string, name: string): Promise<BuildState | undefined> {
  try {
    return (await builds(dataDir).getBuild({ name })).build?.state;
  } catch {
    return undefined;
  }
}

test("from nothing to a green build; a second start is refused; Ctrl-C leaves no process; the next start knows it all", async () => {
  const first = up("data");
  const address = await untilUp(first);
  expect(first.output()).toContain(`${address}/#code=`);
  expect(first.output().match(/^ {4}npx ritmo .*/gm)).toHaveLength(3);
  await expect.poll(() => stateOf("data", "sample#1"), UP_WITHIN).toBe(BuildState.SUCCESS);
  expect(context("data")).toMatchObject({ server: address, dataDir: join(folder, "data") });
  expect(statSync(join(folder, "data/tokens.json")).mode & 0o777).toBe(0o600);

  const second = up("data");
  expect(await second.ended).toBe(1);
  expect(second.output()).toBe(
    `Ritmo is already running on this data folder: process ${first.child.pid}, ${address}. Stop it (Ctrl-C there, or kill ${first.child.pid}), or start with another RITMO_DATA_DIR.\n`,
  );
  const port = new URL(address).port;
  const elsewhere = up("other", { RITMO_LISTEN: `127.0.0.1:${port}` });
  expect(await elsewhere.ended).toBe(1);
  expect(elsewhere.output()).toMatch(
    new RegExp(`^Port ${port} is taken by .* \\(process \\d+\\)\\. Stop what uses it, or set RITMO_LISTEN`),
  );

  const { token } = context("data");
  first.child.kill("SIGINT");
  expect(await first.ended).toBe(0);
  expect(processesOf(folder)).toEqual([]);
  expect(recorded("data")).toEqual([]);

  const again = up("data");
  await untilUp(again);
  expect(context("data").token).toBe(token);
  expect(await stateOf("data", "sample#1")).toBe(BuildState.SUCCESS);
  expect((await builds("data").listBuilds({})).builds).toHaveLength(1);
  again.child.kill("SIGTERM");
  expect(await again.ended).toBe(0);
  expect(processesOf(folder)).toEqual([]);
}, 180_000);

test("what a killed parent left is ended by the next start, and what a killed part did goes on", async () => {
  const first = up("killed");
  await untilUp(first);
  first.child.kill("SIGKILL");
  await first.ended;
  const left = recorded("killed").map(({ pid }) => pid);
  expect(left.filter((pid) => identifyProcess(pid))).toHaveLength(2);

  const second = up("killed");
  await untilUp(second);
  expect(second.output()).toContain("Ended what a killed start had left running: control plane, worker.");
  expect(left.filter((pid) => identifyProcess(pid))).toEqual([]);

  for (const { name, pid } of recorded("killed")) {
    process.kill(pid, "SIGKILL");
    await expect.poll(second.output, UP_WITHIN).toContain(`${name} ended (SIGKILL). Starting it again.`);
  }
  const postmaster = Number(readFileSync(join(folder, "killed/postgres/data/postmaster.pid"), "utf8").split("\n")[0]);
  process.kill(postmaster, "SIGKILL");
  await expect.poll(second.output, UP_WITHIN).toContain("PostgreSQL ended. Starting it again.");
  const request = { requestId: randomUUID(), job: "sample" };
  // Until PostgreSQL is back the call may be refused; the same request id has one effect.
  const create = () =>
    builds("killed")
      .createBuild(request)
      .then(({ build }) => build?.name, String);
  await expect.poll(create, UP_WITHIN).toBe("sample#2");
  await expect.poll(() => stateOf("killed", "sample#2"), UP_WITHIN).toBe(BuildState.SUCCESS);
  second.child.kill("SIGINT");
  expect(await second.ended).toBe(0);
  expect(processesOf(folder)).toEqual([]);
}, 180_000);

test("Ctrl-C ends a step in hand with all it started; a second one ends everything at once", async () => {
  const pipelineText = "version: 1\nsteps:\n  long: { checkout: false, run: sleep 1000 & setsid sleep 1001 & wait }\n";
  const one = up("step", { RITMO_DRAIN_SECONDS: "0" });
  await untilUp(one);
  const pipeline = { case: "pipelineText", value: pipelineText } as const;
  // Its repository is the sample's, since a build has a commit even where its steps need none.
  const repository = pathToFileURL(join(folder, "step/sample.git")).href;
  await jobs("step").createJob({ requestId: randomUUID(), job: { name: "long", repository, pipeline } });
  const sleepers = () => processesOf(folder).filter((pid) => isSleeper(pid));
  await builds("step").createBuild({ requestId: randomUUID(), job: "long" });
  await expect.poll(sleepers, UP_WITHIN).toHaveLength(2);
  one.child.kill("SIGINT");
  expect(await one.ended).toBe(0);
  expect(processesOf(folder)).toEqual([]);

  const patient = up("step", { RITMO_DRAIN_SECONDS: "3600" });
  await untilUp(patient);
  await builds("step").createBuild({ requestId: randomUUID(), job: "long" });
  await expect.poll(() => sleepers().length, UP_WITHIN).toBeGreaterThanOrEqual(2);
  patient.child.kill("SIGINT");
  await expect.poll(patient.output, UP_WITHIN).toContain("Stopping");
  // What npm passes on comes at once, and is the same Ctrl-C; the person's next one is not.
  patient.child.kill("SIGINT");
  await sleep(1_000);
  expect(sleepers().length).toBeGreaterThanOrEqual(2);
  patient.child.kill("SIGINT");
  expect(await patient.ended).toBe(0);
  expect(processesOf(folder)).toEqual([]);
}, 180_000);

test("on a database of one's own; on another one later, this machine is made known anew", async () => {
  const tokens: string[] = [];
  for (let n = 0; n < 2; n++) {
    await using database = await freshDatabase();
    const one = up("own", { RITMO_DATABASE_URL: database.url });
    await untilUp(one);
    expect(one.output()).not.toContain("PostgreSQL");
    expect(existsSync(join(folder, "own/postgres"))).toBe(false);
    expect((await jobs("own").listJobs({})).jobs.length).toBeLessThanOrEqual(1);
    tokens.push(context("own").token);
    one.child.kill("SIGINT");
    expect(await one.ended).toBe(0);
  }
  expect(new Set(tokens).size).toBe(2);
}, 180_000);

test("with certificates of its own on both ports", async () => {
  const authority = makeAuthority("Nobody's Authority");
  const issued = authority.issue("localhost");
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  writeFileSync(cert, issued.cert + authority.cert);
  writeFileSync(key, issued.key);
  const one = up("tls", {
    RITMO_TLS_CERT: cert,
    RITMO_TLS_KEY: key,
    RITMO_WORKER_TLS_CERT: cert,
    RITMO_WORKER_TLS_KEY: key,
  });
  expect(await untilUp(one)).toMatch(/^https:/);
  expect(one.output()).toContain("✓ worker");
  one.child.kill("SIGINT");
  expect(await one.ended).toBe(0);
}, 180_000);

test("a database that does not answer: one line, and nothing is left running", async () => {
  const one = up("unreachable", { RITMO_DATABASE_URL: "postgres://nobody:secret@127.0.0.1:1/none" });
  expect(await one.ended).toBe(1);
  expect(one.output()).toBe(
    "The control plane can't start: connect ECONNREFUSED 127.0.0.1:1. See to RITMO_DATABASE_URL.\n",
  );
  expect(processesOf(folder)).toEqual([]);
}, 180_000);
