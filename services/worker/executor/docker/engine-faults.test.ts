import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLogger } from "../../../process/logger.ts";
import { runProcess } from "../../../testing/run-process.ts";
import { DOCKER_TURN_MS, startDocker, type TestDocker, whyNoDocker } from "../../../testing/start-docker.ts";
import { containerScene } from "../../testing/container-scene.ts";
import { type FakeControlPlane, fakeControlPlane } from "../../testing/fake-control-plane.ts";
import { workFolder } from "../../testing/start-worker.ts";
import { findEngine } from "./find-engine.ts";
import { openLedger } from "./ledger.ts";
import { sweepDead } from "./sweep-containers.ts";

const missing = whyNoDocker();

describe.skipIf(missing !== undefined)(`when engine or worker fail${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let engine: TestDocker;
  beforeAll(async () => {
    engine = await startDocker(["--live-restore"]);
  }, DOCKER_TURN_MS);
  afterAll(() => engine?.[Symbol.asyncDispose]());

  const runWorker = (peer: FakeControlPlane, workDir: string) =>
    runProcess("worker/main.ts", {
      RITMO_CONTROL_PLANE: peer.address,
      RITMO_WORKER_TOKEN: peer.token,
      RITMO_WORK_DIR: workDir,
      RITMO_SLOTS: "2",
      DOCKER_HOST: engine.host,
    });

  // Numbered lines with bytes that are no text, so that a gap, a repeat or a changed byte shows.
  const LINES = 3000;
  const wanted = Buffer.from(Array.from({ length: LINES }, (_, i) => `line ${i} \xff\n`).join(""), "latin1");
  const counting = (pause: string) => [
    `i=0; while [ $i -lt ${LINES / 2} ]; do printf 'line %d \\377\\n' $i; i=$((i+1)); ${pause}; done`,
    `while [ $i -lt ${LINES} ]; do printf 'line %d \\377\\n' $i; i=$((i+1)); ${pause}; done; echo made > made`,
  ];

  test("killed in the middle and started again, a worker goes on with its container: no byte is missing or double", async () => {
    using folder = workFolder();
    await using peer = await fakeControlPlane();
    await using first = runWorker(peer, folder.path);
    await first.said("ready");
    const run = counting("[ $((i % 50)) -ne 0 ] || sleep 0.1");
    const attempt = peer.offer({ run, image: engine.image, artifacts: ["made"] });
    await expect.poll(() => attempt.step.length, { timeout: 15_000, interval: 5 }).toBeGreaterThan(2_000);
    await first.signal("SIGKILL");
    const known = attempt.step.length;
    const states = async () => (await engine.docker.listContainers()).map(({ State }) => State);
    expect(await states()).toEqual(["running"]);
    // What it writes meanwhile is nobody's but the engine's.
    await new Promise((resolve) => setTimeout(resolve, 700));
    await using second = runWorker(peer, folder.path);
    const finish = await peer.finished(attempt);
    expect(peer.hellos.at(-1)?.held).toMatchObject([{ leaseId: attempt.offer.leaseId, stage: { case: "running" } }]);
    expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
    expect(known).toBeLessThan(wanted.length);
    expect(attempt.step.length).toBe(wanted.length);
    expect(attempt.step.equals(wanted)).toBe(true);
    expect(finish.finalOffset).toBe(BigInt(wanted.length));
    expect(attempt.uploads.get("made")?.bytes.toString()).toBe("made\n");
    const begins = attempt.marks.filter(({ mark }) => mark.case === "groupBegin");
    expect(begins.map(({ mark }) => (mark.value as { entry: number }).entry)).toEqual([1, 2]);
    await second.said("ready");
    expect((await peer.finished(peer.offer({ run: ["exit 3"], image: engine.image }))).end.value).toMatchObject({
      code: 3,
    });
    await expect.poll(() => engine.made(), { timeout: 10_000 }).toEqual([]);
  });

  test("killed while its step ends, the worker that comes after tells the end and the whole log", async () => {
    using folder = workFolder();
    await using peer = await fakeControlPlane();
    await using first = runWorker(peer, folder.path);
    await first.said("ready");
    const attempt = peer.offer({ run: ["echo one; sleep 1; echo two; exit 9"], image: engine.image });
    await expect.poll(() => attempt.step.toString(), { timeout: 15_000 }).toBe("one\n");
    await first.signal("SIGKILL");
    const running = () => engine.docker.listContainers();
    await expect.poll(running, { timeout: 10_000 }).toEqual([]);
    await using _second = runWorker(peer, folder.path);
    const finish = await peer.finished(attempt);
    expect(finish).toMatchObject({ end: { case: "exited", value: { code: 9 } }, failedEntry: 1 });
    expect(attempt.step.toString()).toBe("one\ntwo\n");
    await expect.poll(() => engine.made(), { timeout: 10_000 }).toEqual([]);
  });

  test("an attempt that went on elsewhere meanwhile is ended, and its container removed", async () => {
    using folder = workFolder();
    await using peer = await fakeControlPlane();
    await using first = runWorker(peer, folder.path);
    await first.said("ready");
    const attempt = peer.offer({ run: ["echo up; sleep 1000"], image: engine.image });
    await expect.poll(() => attempt.step.toString(), { timeout: 15_000 }).toBe("up\n");
    await first.signal("SIGKILL");
    attempt.lost = true;
    await using second = runWorker(peer, folder.path);
    await second.said("ready");
    await expect.poll(() => engine.made(), { timeout: 15_000 }).toEqual([]);
    expect(attempt.finishes).toBe(0);
  });

  test("an engine that is killed and comes back with its containers: the step and its log go on", async () => {
    await using s = await containerScene(engine);
    const attempt = s.offer({ run: counting("[ $((i % 50)) -ne 0 ] || sleep 0.05") });
    await expect.poll(() => attempt.step.length, { timeout: 15_000, interval: 5 }).toBeGreaterThan(2_000);
    await engine.kill();
    await engine.restart();
    expect((await s.peer.finished(attempt)).end).toMatchObject({ case: "exited", value: { code: 0 } });
    // Text after the engine's return: dockerd itself loses what is in flight at its death, never what it has written.
    const text = attempt.step.toString("latin1");
    expect(text.startsWith("line 0 \xff\nline 1 \xff\n")).toBe(true);
    expect(text.endsWith(`line ${LINES - 1} \xff\n`)).toBe(true);
    await expect.poll(() => engine.made(), { timeout: 10_000 }).toEqual([]);
  });

  test("an engine that stays away ends the step as an error of ours, and the worker lives", async () => {
    await using s = await containerScene(engine, { RITMO_ENGINE_SECONDS: "2" });
    const attempt = s.offer({ run: ["echo up; sleep 1000"] });
    await expect.poll(() => attempt.step.toString(), { timeout: 15_000 }).toBe("up\n");
    await engine.kill();
    const { end } = await s.peer.finished(attempt);
    expect(end).toMatchObject({ case: "broken", value: { reason: "ENGINE_GONE", authorFault: false } });
    const refused = s.offer({ run: ["true"] });
    expect((await s.peer.finished(refused)).end).toMatchObject({ case: "broken", value: { reason: "ENGINE_GONE" } });
    expect((await s.peer.finished(s.peer.offer({ run: ["true"] }))).end.case).toBe("exited");
    await engine.restart();
    expect((await s.run({ run: ["echo back"] })).text).toBe("back\n");
    // What could not be removed then stands in the ledger, and goes now that it can.
    await s.worker[Symbol.asyncDispose]();
    await using _again = await containerScene(engine, { RITMO_WORK_DIR: s.workDir });
    await expect.poll(() => engine.made(), { timeout: 20_000 }).toEqual([]);
  });

  test("an engine that hangs is not waited for without end", async () => {
    await using s = await containerScene(engine, { RITMO_ENGINE_SECONDS: "2" });
    const attempt = s.offer({ run: ["echo up; sleep 1000"] });
    await expect.poll(() => attempt.step.toString(), { timeout: 15_000 }).toBe("up\n");
    engine.child.kill("SIGSTOP");
    try {
      expect((await s.peer.finished(attempt)).end).toMatchObject({
        case: "broken",
        value: { reason: "ENGINE_UNRESPONSIVE", authorFault: false },
      });
    } finally {
      engine.child.kill("SIGCONT");
    }
    await expect.poll(() => engine.made(), { timeout: 20_000 }).toEqual([]);
  });

  test("what a dead worker of this machine left is removed, what a living one has is not", async () => {
    using ours = workFolder();
    using theirs = workFolder();
    await using peer = await fakeControlPlane();
    await using other = runWorker(peer, theirs.path);
    await other.said("ready");
    const attempt = peer.offer({ run: ["echo up; sleep 1000"], image: engine.image });
    await expect.poll(() => attempt.step.toString(), { timeout: 15_000 }).toBe("up\n");
    const found = await findEngine({ DOCKER_HOST: engine.host });
    if (!found) throw new Error("the engine does not answer");
    const ledger = await openLedger(ours.path);
    const parts = { engine: found, ledger, inHand: new Set<string>(), log: openLogger("test", "silent") };
    // Only looks like the other's: it stands in no ledger.
    const Labels = { "ritmo.ledger": join(theirs.path, "containers"), "ritmo.nonce": "forged" };
    const forged = await engine.docker.createContainer({ Image: engine.image, Labels });
    mkdirSync(join(theirs.path, "containers"), { recursive: true });
    await writeFile(join(theirs.path, "containers", "torn.json"), "{");
    const seen = new Map<string, number>();
    await sweepDead(parts, seen, 0);
    expect((await engine.made()).length).toBe(3);
    await other.signal("SIGKILL");
    await sweepDead(parts, seen, 60_000);
    expect((await engine.made()).length).toBe(3);
    await sweepDead(parts, seen, 0);
    expect(await engine.made()).toEqual([expect.not.stringMatching(/ritmo-/)]);
    await forged.remove();
  });
});
