import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type RunningProcess, runProcess } from "../testing/run-process.ts";
import { type FakeControlPlane, fakeControlPlane } from "./testing/fake-control-plane.ts";
import { workFolder } from "./testing/start-worker.ts";

function run(peer: FakeControlPlane, workDir: string, env: Record<string, string> = {}): RunningProcess {
  return runProcess("worker/main.ts", {
    RITMO_CONTROL_PLANE: peer.address,
    RITMO_WORKER_TOKEN: peer.token,
    RITMO_WORK_DIR: workDir,
    RITMO_SLOTS: "2",
    ...env,
  });
}

const alive = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));

async function pidIn(file: string): Promise<number> {
  await expect
    .poll(() => existsSync(file) && Number(readFileSync(file, "utf8")), { timeout: 10_000 })
    .toBeGreaterThan(0);
  return Number(readFileSync(file, "utf8"));
}

test("killed in the middle and started again, it resumes its session, ends what it left, ships the rest and says so", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  const file = join(folder.path, "pid");
  await using first = run(peer, folder.path);
  await first.said("ready");
  // What is written while nothing is acknowledged lies in the spool alone when the worker dies.
  peer.switches.loseAcks = true;
  const attempt = peer.offer({
    run: [
      `(setsid sleep 1000 & echo $! > ${file}); for i in $(seq 200); do echo line $i; done; echo whole; sleep 1000`,
    ],
  });
  const pid = await pidIn(file);
  await expect.poll(() => peer.reports.at(-1)?.held[0]?.spooledOffset).toBeGreaterThan(1500n);
  await first.signal("SIGKILL");
  expect(alive(pid)).toBe(true);
  attempt.logs.step.cut(5);
  peer.switches.loseAcks = false;
  await using second = run(peer, folder.path);
  const finish = await peer.finished(attempt);
  expect(peer.hellos.at(-1)?.sessionId).toMatch(/^ses_/);
  expect(peer.hellos.at(-1)?.held).toMatchObject([{ leaseId: attempt.offer.leaseId, stage: { case: "finishing" } }]);
  expect(finish.end).toMatchObject({ case: "broken", value: { reason: "WORKER_RESTARTED", authorFault: false } });
  expect(attempt.step.toString()).toMatch(/^line 1\n(line \d+\n)+whole\n$/);
  expect(finish.logSha256).toHaveLength(0);
  expect(alive(pid)).toBe(false);
  await second.said("ready");
  expect((await peer.finished(peer.offer({ run: ["true"] }))).end.case).toBe("exited");
});

test("killed in the middle and cancelled meanwhile, it delivers what it has and tells the end all the same", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using first = run(peer, folder.path);
  await first.said("ready");
  const attempt = peer.offer({ run: ["echo up; sleep 1000"] });
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  await first.signal("SIGKILL");
  attempt.stop = { reason: "cancelled", graceMs: 1_000 };
  await using _second = run(peer, folder.path);
  const finish = await peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "broken", value: { reason: "WORKER_RESTARTED" } });
  expect(finish.finalOffset).toBe(3n);
});

test("killed after a step had ended and before that was told, it tells the result that its journal has", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using first = run(peer, folder.path);
  await first.said("ready");
  peer.switches.loseAcks = true;
  const attempt = peer.offer({ run: ["echo done; exit 5"] });
  const journal = join(folder.path, "attempts", attempt.offer.leaseId, "finish.json");
  // A verdict would stand in for the lost acknowledgement, so there are none either.
  peer.switches.silent = true;
  await expect.poll(() => existsSync(journal), { timeout: 10_000 }).toBe(true);
  const { resultId } = JSON.parse(readFileSync(journal, "utf8"));
  await first.signal("SIGKILL");
  peer.switches.loseAcks = peer.switches.silent = false;
  await using _second = run(peer, folder.path);
  const finish = await peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "exited", value: { code: 5 } });
  expect(finish.resultId).toBe(resultId);
  expect(attempt.step.toString()).toBe("done\n");
});

test("what the control plane does not know any more after a restart is dropped", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using first = run(peer, folder.path);
  await first.said("ready");
  const attempt = peer.offer({ run: ["echo up; sleep 1000"] });
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  await first.signal("SIGKILL");
  attempt.lost = true;
  await using second = run(peer, folder.path);
  await second.said("ready");
  await expect.poll(() => existsSync(join(folder.path, "attempts", attempt.offer.leaseId))).toBe(false);
  expect(attempt.finishes).toBe(0);
});

test("frozen beyond its lease and thawed, it drops the attempt that went on elsewhere", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane({ leaseTtlMs: 1_000, reportEveryMs: 250 });
  await using worker = run(peer, folder.path);
  await worker.said("ready");
  const file = join(folder.path, "pid");
  const attempt = peer.offer({ run: [`echo $$ > ${file}; while :; do echo line; sleep 0.05; done`] });
  const pid = await pidIn(file);
  await worker.signal("SIGSTOP");
  attempt.lost = true;
  const published = attempt.step.length;
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  await worker.signal("SIGCONT");
  await expect.poll(() => alive(pid), { timeout: 10_000 }).toBe(false);
  expect(attempt.step.length).toBe(published);
  expect(attempt.finishes).toBe(0);
});

test("an address where nothing answers is told", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using dead = run(peer, folder.path, { RITMO_CONTROL_PLANE: "127.0.0.1:1" });
  await dead.said("the control plane is not to be reached; trying again");
});

test("TERM lets the step in hand end, a second TERM does not, and both leave with 0", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using patient = run(peer, folder.path);
  await patient.said("ready");
  const first = peer.offer({ run: ["echo up; sleep 0.5; echo down"] });
  await expect.poll(() => first.step.toString()).toBe("up\n");
  await patient.signal("SIGTERM");
  expect(await patient.ended).toBe(0);
  expect(first.finish?.end).toMatchObject({ case: "exited", value: { code: 0 } });

  await using hasty = run(peer, folder.path);
  await hasty.said("ready");
  const second = peer.offer({ run: ["echo up; sleep 1000"] });
  await expect.poll(() => second.step.toString()).toBe("up\n");
  hasty.child.kill("SIGTERM");
  await expect.poll(() => peer.reports.at(-1)?.draining).toBe(true);
  hasty.child.kill("SIGTERM");
  expect(await hasty.ended).toBe(0);
  expect(second.finish?.end).toMatchObject({ case: "broken", value: { reason: "WORKER_STOPPED" } });
});

test("RITMO_DRAIN_SECONDS bounds how long a step may go on", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using worker = run(peer, folder.path, { RITMO_DRAIN_SECONDS: "0" });
  await worker.said("ready");
  const attempt = peer.offer({ run: ["echo up; sleep 1000"] });
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  await worker.signal("SIGTERM");
  expect(await worker.ended).toBe(0);
  expect(attempt.finish?.end.case).toBe("broken");
});

test("a token that nobody knows, and a worker that was replaced, end with one line and a code of their own", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using stranger = run(peer, folder.path, { RITMO_WORKER_TOKEN: "rw_unknown" });
  expect(await stranger.ended).toBe(4);
  expect(stranger.lines.at(-1)).toMatch(/^ritmo worker: the control plane does not know this token/);
  await using replaced = run(peer, folder.path);
  await replaced.said("ready");
  peer.refuseStream(10, "WORKER_REPLACED");
  expect(await replaced.ended).toBe(3);
  expect(replaced.lines.at(-1)).toMatch(/^ritmo worker: another process took this worker's place/);
});

test("settings that are wrong are all told at once, with 2", async () => {
  const worker = runProcess(
    "worker/main.ts",
    { RITMO_SLOTS: "0", RITMO_LABELS: "gpu", RITMO_EXECUTORS: "magic", RITMO_CONTROL_PLANE: "nowhere" },
    [],
  );
  expect(await worker.ended).toBe(2);
  const text = worker.lines.join("\n");
  for (const name of ["RITMO_SLOTS", "RITMO_LABELS", "RITMO_EXECUTORS", "RITMO_CONTROL_PLANE"])
    expect(text).toContain(name);
  const flags = runProcess("worker/main.ts", {}, ["--slots", "2", "--no-such"]);
  expect(await flags.ended).toBe(2);
  expect(flags.lines.join("\n")).toContain("--no-such");
  const missing = runProcess("worker/main.ts", {}, ["--slots", "2"]);
  expect(await missing.ended).toBe(2);
  expect(missing.lines.join("\n")).toContain("RITMO_WORKER_TOKEN: is missing");
});
