import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type FakeControlPlane, type FakeOptions, fakeControlPlane } from "../testing/fake-control-plane.ts";
import { startWorker, workFolder } from "../testing/start-worker.ts";

async function scene(
  options: FakeOptions = {},
  env: Record<string, string> = {},
  switches: Partial<FakeControlPlane["switches"]> = {},
) {
  const folder = workFolder();
  const peer = await fakeControlPlane(options);
  Object.assign(peer.switches, switches);
  const worker = await startWorker(peer, folder.path, env);
  return {
    peer,
    worker: worker.worker,
    workDir: folder.path,
    go: join(folder.path, "go"),
    /** A step that says it is up and ends when the test says so. */
    untilGo: { run: [`echo up; until test -e ${join(folder.path, "go")}; do sleep 0.02; done; echo down`] },
    async [Symbol.asyncDispose]() {
      await worker[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

test("Hello says what the machine is; the session that Welcome names is resumed after a break", async () => {
  await using s = await scene({}, { RITMO_LABELS: "gpu=true,zone=a", RITMO_SLOTS: "3" });
  const [hello] = s.peer.hellos;
  expect(hello).toMatchObject({
    sessionId: "",
    protocolVersion: 1000,
    slots: 3,
    executors: ["process"],
    draining: false,
  });
  expect(hello?.labels.map(({ key, value }) => `${key}=${value}`)).toEqual(["gpu=true", "zone=a"]);
  expect(hello?.machine?.cpus).toBeGreaterThan(0);
  expect(hello?.capacity?.freeSlots).toBe(3);
  const attempt = s.peer.offer(s.untilGo);
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  s.peer.breakStreams();
  await expect.poll(() => s.peer.hellos.length).toBe(2);
  const again = s.peer.hellos[1];
  expect(again?.sessionId).toMatch(/^ses_/);
  expect(again?.held).toMatchObject([
    { leaseId: attempt.offer.leaseId, stage: { case: "running" }, spooledOffset: 3n },
  ]);
  expect(again?.capacity?.freeSlots).toBe(2);
  writeFileSync(s.go, "");
  await s.peer.finished(attempt);
  expect(attempt.step.toString()).toBe("up\ndown\n");
});

test("reports carry what is held and what is free", async () => {
  await using s = await scene({}, { RITMO_SLOTS: "2" });
  const attempt = s.peer.offer({ ...s.untilGo, resources: { cpuMillis: 1500, memoryBytes: 1024n } as never });
  await expect.poll(() => s.peer.reports.at(-1)?.held.length).toBe(1);
  const { capacity, seq } = s.peer.reports.at(-1) as (typeof s.peer.reports)[number];
  const idle = s.peer.hellos[0]?.capacity;
  expect(capacity?.freeSlots).toBe(1);
  expect(Number(idle?.freeMemoryBytes) - Number(capacity?.freeMemoryBytes)).toBe(1024);
  await expect.poll(() => (s.peer.reports.at(-1)?.seq ?? 0n) > seq).toBe(true);
  writeFileSync(s.go, "");
  await s.peer.finished(attempt);
});

test("reports that nobody answers make the worker come back; past its lease it publishes nothing until then", async () => {
  await using s = await scene({ leaseTtlMs: 600, reportEveryMs: 150 });
  const attempt = s.peer.offer({ run: [`echo up; until test -e ${s.go}; do sleep 0.02; echo line; done`] });
  await expect.poll(() => attempt.step.length).toBeGreaterThan(3);
  s.peer.switches.silent = true;
  // Without answers the lease runs out on the worker's own clock, and the log stands still though the step goes on.
  await expect
    .poll(
      async () => {
        const before = attempt.step.length;
        await new Promise((resolve) => setTimeout(resolve, 200));
        return attempt.step.length === before;
      },
      { timeout: 10_000 },
    )
    .toBe(true);
  await expect.poll(() => s.peer.hellos.length, { timeout: 10_000 }).toBeGreaterThan(1);
  s.peer.switches.silent = false;
  writeFileSync(s.go, "");
  await s.peer.finished(attempt);
  expect(attempt.step.toString()).toMatch(/^up\n(line\n)+$/);
});

test("a finish whose answer is lost is told again and counts once", async () => {
  await using s = await scene();
  s.peer.switches.loseFinishAnswers = 1;
  const attempt = s.peer.offer({ run: ["true"] });
  await s.peer.finished(attempt);
  await expect.poll(() => attempt.finishes).toBeGreaterThanOrEqual(1);
  await expect.poll(() => existsSync(join(s.workDir, "attempts", attempt.offer.leaseId))).toBe(false);
});

test("a session that is gone ends what was held, and a new one begins", async () => {
  await using s = await scene();
  const attempt = s.peer.offer(s.untilGo);
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  s.peer.forgetSession();
  await expect.poll(() => s.peer.hellos.slice(1).map(({ sessionId }) => sessionId)).toContain("");
  await expect.poll(() => s.peer.attached()).toBe(true);
  await expect
    .poll(() => existsSync(join(s.workDir, "attempts", attempt.offer.leaseId)), { timeout: 10_000 })
    .toBe(false);
  expect(attempt.finishes).toBe(0);
  const next = s.peer.offer({ run: ["true"] });
  expect((await s.peer.finished(next)).end.case).toBe("exited");
});

test("Move opens a stream elsewhere before it closes this one; steps do not notice", async () => {
  await using s = await scene();
  const attempt = s.peer.offer(s.untilGo);
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  for (let moves = 1; moves <= 5; moves++) {
    s.peer.say({ case: "move", value: {} as never });
    await expect.poll(() => s.peer.hellos.length).toBe(1 + moves);
    expect(s.peer.hellos.at(-1)?.held).toHaveLength(1);
    const reports = s.peer.reports.length;
    await expect.poll(() => s.peer.reports.length).toBeGreaterThan(reports + 2);
    expect(s.peer.attached()).toBe(true);
  }
  writeFileSync(s.go, "");
  await s.peer.finished(attempt);
  expect(attempt.step.toString()).toBe("up\ndown\n");
  expect(s.peer.hellos.length).toBe(6);
});

test("streams that break at once are given up for single calls, which bring steps as well", async () => {
  await using s = await scene();
  s.peer.switches.breakAttend = true;
  s.peer.breakStreams();
  await expect.poll(() => s.peer.syncs, { timeout: 20_000 }).toBeGreaterThan(1);
  const attempt = s.peer.offer({ run: ["echo by call"] });
  const finish = await s.peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
  expect(attempt.step.toString()).toBe("by call\n");
  expect(attempt.accepted).toBeGreaterThan(0);
});

test("superseded, it goes on with its session and its steps; superseded again soon, another has its place", async () => {
  await using s = await scene();
  const attempt = s.peer.offer(s.untilGo);
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  s.peer.refuseStream(10, "SUPERSEDED");
  await expect.poll(() => s.peer.hellos.length, { timeout: 5_000 }).toBe(2);
  expect(s.peer.hellos[1]).toMatchObject({ sessionId: expect.stringMatching(/^ses_/), held: [{}] });
  await expect.poll(() => s.peer.attached()).toBe(true);
  writeFileSync(s.go, "");
  expect((await s.peer.finished(attempt)).end).toMatchObject({ case: "exited", value: { code: 0 } });
  s.peer.refuseStream(10, "SUPERSEDED");
  expect((await s.worker.over).reason).toBe("replaced");
  expect(s.peer.hellos.length).toBe(2);
});

test("a control plane that dies between a move's Hello and its Welcome has superseded the stream, and costs nothing", async () => {
  await using s = await scene();
  const attempt = s.peer.offer(s.untilGo);
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  for (let moves = 1; moves <= 3; moves++) {
    s.peer.switches.loseWelcomes = 1;
    s.peer.say({ case: "move", value: {} as never });
    await expect.poll(() => s.peer.hellos.length, { timeout: 5_000 }).toBe(1 + 2 * moves);
    await expect.poll(() => s.peer.attached()).toBe(true);
  }
  writeFileSync(s.go, "");
  expect((await s.peer.finished(attempt)).end).toMatchObject({ case: "exited", value: { code: 0 } });
});

test("replaced after the answer to its first Hello was lost, it begins once more, and only once", async () => {
  await using s = await scene({}, {}, { loseWelcomes: 1 });
  expect(s.peer.hellos.map(({ sessionId }) => sessionId)).toEqual(["", ""]);
  const attempt = s.peer.offer(s.untilGo);
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  s.peer.refuseStream(10, "WORKER_REPLACED");
  await expect.poll(() => s.peer.hellos.length, { timeout: 5_000 }).toBe(3);
  expect(s.peer.hellos[2]?.sessionId).toBe("");
  await expect.poll(() => s.peer.attached()).toBe(true);
  expect((await s.peer.finished(s.peer.offer({ run: ["true"] }))).end.case).toBe("exited");
  expect(attempt.finishes).toBe(0);
  s.peer.refuseStream(10, "WORKER_REPLACED");
  expect((await s.worker.over).reason).toBe("replaced");
});

test.each([
  ["WORKER_REPLACED", 10, "replaced"],
  ["UPGRADE_REQUIRED", 9, "upgrade-required"],
  ["TOKEN_UNKNOWN", 16, "unauthenticated"],
])("%s ends the worker and its steps, and it does not come back", async (reason, code, end) => {
  await using s = await scene();
  const attempt = s.peer.offer(s.untilGo);
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  s.peer.refuseStream(code, reason);
  expect((await s.worker.over).reason).toBe(end);
  expect(s.peer.hellos.length).toBe(1);
  expect(attempt.finishes).toBe(0);
});

test("a drain that is asked for takes nothing new until it is taken back", async () => {
  await using s = await scene();
  s.peer.say({ case: "drain", value: { reason: "kernel" } as never });
  const refused = s.peer.offer({ run: ["true"] });
  await expect.poll(() => refused.declined).toBe("the worker is draining");
  // What was ordered is not the worker's own wish, which only the worker could take back.
  expect(s.peer.reports.filter((report) => report.draining)).toEqual([]);
  s.peer.say({ case: "resume", value: {} as never });
  expect((await s.peer.finished(s.peer.offer({ run: ["true"] }))).end.case).toBe("exited");
});

test("a worker that leaves finishes what it has; told twice it stops it", async () => {
  await using s = await scene();
  const first = s.peer.offer(s.untilGo);
  await expect.poll(() => first.step.toString()).toBe("up\n");
  s.worker.drain();
  await expect.poll(() => s.peer.reports.at(-1)?.draining).toBe(true);
  writeFileSync(s.go, "");
  expect((await s.peer.finished(first)).end).toMatchObject({ case: "exited", value: { code: 0 } });
  expect((await s.worker.over).reason).toBe("closed");

  await using t = await scene();
  const second = t.peer.offer(t.untilGo);
  await expect.poll(() => second.step.toString()).toBe("up\n");
  t.worker.drain();
  t.worker.stopNow();
  expect((await t.peer.finished(second)).end).toMatchObject({ case: "broken", value: { reason: "WORKER_STOPPED" } });
  expect((await t.worker.over).reason).toBe("closed");
});

test("two workers can't have one folder", async () => {
  await using s = await scene();
  await expect(startWorker(s.peer, s.workDir)).rejects.toThrow(/is in use by the worker with process id/);
  expect(readFileSync(join(s.workDir, "worker.lock"), "utf8")).toContain(String(process.pid));
});

test("told to leave while it reconnects, it leaves", async () => {
  await using s = await scene();
  for (let round = 0; round < 3; round++) {
    s.peer.breakStreams();
    await expect.poll(() => s.peer.attached()).toBe(false);
    await expect.poll(() => s.peer.attached()).toBe(true);
  }
  s.peer.breakStreams();
  await expect.poll(() => s.peer.attached()).toBe(false);
  s.worker.drain();
  expect((await s.worker.over).reason).toBe("closed");
});
