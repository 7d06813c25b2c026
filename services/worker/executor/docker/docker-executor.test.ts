import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startDocker, type TestDocker, whyNoDocker } from "../../../testing/start-docker.ts";
import type { FakeAttempt } from "../../testing/fake-attempt.ts";
import { type FakeControlPlane, fakeControlPlane } from "../../testing/fake-control-plane.ts";
import { startWorker, workFolder } from "../../testing/start-worker.ts";

const missing = whyNoDocker();

async function scene(engine: TestDocker, env: Record<string, string> = {}) {
  const folder = workFolder();
  const peer = await fakeControlPlane();
  process.env["DOCKER_HOST"] = engine.host;
  const worker = await startWorker(peer, folder.path, { RITMO_SLOTS: "8", ...env }).finally(
    () => delete process.env["DOCKER_HOST"],
  );
  return {
    peer,
    worker,
    workDir: folder.path,
    run: async (step: Parameters<FakeControlPlane["offer"]>[0]) => {
      const attempt = peer.offer({ image: engine.image, ...step });
      const finish = await peer.finished(attempt);
      return { attempt, finish, text: attempt.step.toString() };
    },
    async [Symbol.asyncDispose]() {
      await worker[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const groupsOf = (attempt: FakeAttempt) =>
  attempt.marks.flatMap(({ offset, mark }) => {
    if (mark.case === "groupBegin") return [[Number(offset), mark.value.entry, mark.value.name]];
    return mark.case === "groupEnd" ? [[Number(offset), "end"]] : [];
  });

describe.skipIf(missing !== undefined)(`steps in containers${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let engine: TestDocker;
  beforeAll(async () => {
    engine = await startDocker();
  });
  afterAll(() => engine?.[Symbol.asyncDispose]());

  test("a step runs in its image; log, groups and end are told as of a process, and nothing is left", async () => {
    await using s = await scene(engine);
    const { attempt, finish } = await s.run({
      run: ["echo one; echo two >&2; echo three", "X=4; cd /", "echo $X $PWD > /dev/stderr"],
    });
    expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
    expect(attempt.step.toString()).toBe("one\ntwo\nthree\n4 /\n");
    expect(Buffer.from(finish.logSha256)).toEqual(createHash("sha256").update(attempt.step).digest());
    expect(groupsOf(attempt)).toEqual([
      [0, 1, "echo one; echo two >&2; echo three"],
      [14, "end"],
      [14, 2, "X=4; cd /"],
      [14, "end"],
      [14, 3, "echo $X $PWD > /dev/stderr"],
      [18, "end"],
    ]);
    expect(attempt.prepare.toString()).toMatch(/^image busybox:local is sha256:[0-9a-f]{64} /);
    await expect.poll(() => engine.made()).toEqual([]);
  });

  test("the entry that failed and its code are told, a signal is told apart from a code, and a shell that is absent", async () => {
    await using s = await scene(engine);
    const [failed, killed, code, child, python] = await Promise.all([
      s.run({ run: ["echo first", "false; echo no", "echo never"] }),
      s.run({ run: ["echo a", "kill -9 $$"] }),
      s.run({ run: ["exit 137"] }),
      s.run({ run: ["sh -c 'kill -9 $$'"] }),
      s.run({ run: ["print(1)"], shell: "python3" }),
    ]);
    expect(failed.finish).toMatchObject({ end: { case: "exited", value: { code: 1 } }, failedEntry: 2 });
    expect(failed.text).toBe("first\n");
    expect(killed.finish).toMatchObject({ end: { case: "signalled", value: { signal: "SIGKILL" } }, failedEntry: 2 });
    expect(code.finish).toMatchObject({ end: { case: "exited", value: { code: 137 } }, failedEntry: 1 });
    expect(child.finish).toMatchObject({ end: { case: "exited", value: { code: 137 } } });
    expect(python.finish.end).toMatchObject({
      case: "broken",
      value: { reason: "SHELL_NOT_FOUND", authorFault: true },
    });
  });
});
