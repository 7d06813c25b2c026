import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import type { FakeAttempt } from "./testing/fake-attempt.ts";
import { fakeControlPlane } from "./testing/fake-control-plane.ts";
import { startWorker, workFolder } from "./testing/start-worker.ts";

async function scene(
  env: Record<string, string> = {},
  options: Parameters<typeof fakeControlPlane>[0] = {},
  surroundings: Record<string, string> = {},
) {
  const folder = workFolder();
  const peer = await fakeControlPlane(options);
  const worker = await startWorker(peer, folder.path, env, surroundings);
  return {
    peer,
    worker,
    workDir: folder.path,
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

test("a step runs, its log arrives byte for byte, and its end is told", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({
    run: ["echo one; echo two >&2; echo three", "X=4; cd /", "echo $X $PWD > /dev/stderr"],
  });
  const finish = await s.peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
  expect(attempt.step.toString()).toBe("one\ntwo\nthree\n4 /\n");
  expect(finish.finalOffset).toBe(BigInt(attempt.step.length));
  expect(Buffer.from(finish.logSha256)).toEqual(createHash("sha256").update(attempt.step).digest());
  expect(attempt.accepted).toBe(1);
  expect(groupsOf(attempt)).toEqual([
    [0, 1, "echo one; echo two >&2; echo three"],
    [14, "end"],
    [14, 2, "X=4; cd /"],
    [14, "end"],
    [14, 3, "echo $X $PWD > /dev/stderr"],
    [18, "end"],
  ]);
  await expect.poll(() => existsSync(join(s.workDir, "attempts", attempt.offer.leaseId))).toBe(false);
  await expect.poll(() => readdirSync(join(s.workDir, "trash"))).toEqual([]);
});

test("a step that takes its time says that it runs; one that ends at once only tells its result", async () => {
  await using s = await scene();
  const slow = s.peer.offer({ run: ["sleep 1000"] });
  await expect.poll(() => slow.stages).toEqual([1]);
  slow.stop = { reason: "seen", graceMs: 100 };
  await s.peer.finished(slow);
  const quick = s.peer.offer({ run: ["exit 0"] });
  const { startedAt, endedAt } = await s.peer.finished(quick);
  expect(startedAt && endedAt).toBeTruthy();
  expect(quick.step.length + quick.marks.length).toBe(0);
});

test("the entry that failed, its exit code and a pipe's failure are told; the entries after it do not run", async () => {
  await using s = await scene();
  const failed = s.peer.offer({ run: ["echo first", "false | cat; echo no", "echo never"] });
  const code = s.peer.offer({ run: ["echo a", "(exit 42)"] });
  const good = s.peer.offer({ run: ["false || true"] });
  expect(await s.peer.finished(failed)).toMatchObject({ end: { case: "exited", value: { code: 1 } }, failedEntry: 2 });
  expect(failed.step.toString()).toBe("first\n");
  expect(await s.peer.finished(code)).toMatchObject({ end: { case: "exited", value: { code: 42 } }, failedEntry: 2 });
  expect(await s.peer.finished(good)).toMatchObject({ end: { case: "exited", value: { code: 0 } }, failedEntry: 0 });
});

test("a syntax error stays in its entry, and a signal is told by its name", async () => {
  await using s = await scene();
  const syntax = s.peer.offer({ run: ["echo before", "if then"] });
  const signalled = s.peer.offer({ run: ["echo x; kill -SEGV $$"] });
  expect(await s.peer.finished(syntax)).toMatchObject({ failedEntry: 2 });
  expect(syntax.step.toString()).toMatch(/^before\n.*run-2: line 1: syntax error/);
  const end = await s.peer.finished(signalled);
  expect(end).toMatchObject({ end: { case: "signalled", value: { signal: "SIGSEGV" } }, failedEntry: 1 });
});

test("set -x, set +e and an own descriptor 3 of an entry meet nothing of the worker's", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({ run: ["set -x; exec 3>&1", "set +x; echo three >&3; set +e; false", "echo end"] });
  expect(await s.peer.finished(attempt)).toMatchObject({ end: { value: { code: 0 } } });
  expect(attempt.step.toString()).not.toMatch(/printf|RITMO_ACK/);
  expect(attempt.step.toString()).toMatch(/three\nend\n$/);
});

test("the environment is the step's own: nothing of the worker's, all that is promised", async () => {
  process.env["RITMO_TEST_CANARY"] = "canary";
  await using s = await scene();
  const attempt = s.peer.offer({
    run: ["cat /proc/self/environ | tr '\\0' '\\n'"],
    env: [
      { name: "OWN", value: "a=b 'c'\nd" },
      { name: "RITMO_LEASE_ID", value: "forged" },
    ] as never,
  });
  await s.peer.finished(attempt);
  const text = attempt.step.toString();
  expect(text).not.toMatch(/RITMO_WORKER_TOKEN|rw_|canary|VITEST|NODE_/);
  const names = new Set([...text.matchAll(/^([A-Z_0-9]+)=/gm)].map(([, name]) => name));
  const promised =
    "PATH LANG HOME TMPDIR CI RITMO RITMO_BUILD_ID RITMO_BUILD_NUMBER RITMO_JOB RITMO_STEP RITMO_ATTEMPT RITMO_BRANCH RITMO_TAG RITMO_COMMIT RITMO_URL RITMO_WORKSPACE RITMO_OUTPUT RITMO_FENCING_TOKEN RITMO_LEASE_ID TRACEPARENT OWN";
  for (const name of promised.split(" ")) expect(names, name).toContain(name);
  expect(text).toContain(`RITMO_LEASE_ID=${attempt.offer.leaseId}`);
  expect(text).toContain("OWN=a=b 'c'\nd\n");
  expect(text).toContain(`HOME=${s.workDir}`);
  expect(text).toContain("RITMO_BUILD_NUMBER=7");
  delete process.env["RITMO_TEST_CANARY"];
});

test("RITMO_STEP_ENV names what passes from the worker's environment; the step's own comes before it", async () => {
  const surroundings = { HTTPS_PROXY: "http://proxy:3128", NODE_EXTRA_CA_CERTS: "/etc/ca.pem", SECRET: "canary" };
  await using s = await scene({ RITMO_STEP_ENV: "HTTPS_PROXY,NODE_EXTRA_CA_CERTS,NOT_SET" }, {}, surroundings);
  const env = [{ name: "NODE_EXTRA_CA_CERTS", value: "/own.pem" }] as never;
  const attempt = s.peer.offer({ run: ["env"], env });
  await s.peer.finished(attempt);
  const lines = attempt.step.toString().split("\n");
  expect(lines).toContain("HTTPS_PROXY=http://proxy:3128");
  expect(lines).toContain("NODE_EXTRA_CA_CERTS=/own.pem");
  expect(attempt.step.toString()).not.toMatch(/canary|NOT_SET|RITMO_STEP_ENV/);
});

test("shells: the one asked for, sh where bash has no say, another language, and one that isn't there", async () => {
  await using s = await scene();
  const sh = s.peer.offer({ run: ["echo $0; readlink /proc/$$/exe"], shell: "sh" });
  const python = s.peer.offer({ run: ["import sys", "print('py', 1 + 1)\nsys.exit(3)"], shell: "python3" });
  const own = s.peer.offer({ run: ["false", "echo still"], shell: "bash +e" });
  const absent = s.peer.offer({ run: ["echo x"], shell: "no-such-shell" });
  expect(await s.peer.finished(sh)).toMatchObject({ end: { value: { code: 0 } } });
  expect(await s.peer.finished(python)).toMatchObject({ end: { case: "exited", value: { code: 3 } } });
  expect(python.step.toString()).toBe("py 2\n");
  expect(await s.peer.finished(own)).toMatchObject({ end: { value: { code: 0 } } });
  expect((await s.peer.finished(absent)).end).toMatchObject({
    case: "broken",
    value: { reason: "SHELL_NOT_FOUND", authorFault: true },
  });
});

test("an environment that no process can have breaks the attempt, not the worker", async () => {
  await using s = await scene();
  const nul = s.peer.offer({ run: ["echo x"], env: [{ name: "A", value: "b\0c" }] as never });
  const huge = s.peer.offer({ run: ["echo x"], env: [{ name: "A", value: "x".repeat(300_000) }] as never });
  expect((await s.peer.finished(nul)).end).toMatchObject({ case: "broken", value: { reason: "SHELL_NOT_STARTED" } });
  expect((await s.peer.finished(huge)).end).toMatchObject({ case: "broken", value: { reason: "SHELL_NOT_STARTED" } });
  expect(await s.peer.finished(s.peer.offer({ run: ["true"] }))).toMatchObject({ end: { value: { code: 0 } } });
});

test("an offer is accepted once and again, and declined when no slot is free or a container is asked for", async () => {
  await using s = await scene({ RITMO_SLOTS: "1" });
  const first = s.peer.offer({ run: [`until test -e ${s.workDir}/go; do sleep 0.02; done`] });
  await expect.poll(() => first.accepted).toBe(1);
  s.peer.say({ case: "offer", value: first.offer });
  await expect.poll(() => first.accepted).toBe(2);
  const second = s.peer.offer({ run: ["true"] });
  await expect.poll(() => second.declined).toBe("no slot is free");
  await import("node:fs/promises").then((fs) => fs.writeFile(join(s.workDir, "go"), ""));
  await s.peer.finished(first);
  expect(first.finishes).toBe(1);
  const image = s.peer.offer({ run: ["true"], image: "node:26" });
  await expect.poll(() => image.declined).toMatch(/no containers/);
});

test("a step that outlives its timeout is ended and says so", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({ run: ["echo begun; sleep 1000"], timeout: durationFromMs(300) as never });
  expect((await s.peer.finished(attempt)).end).toMatchObject({
    case: "timedOut",
    value: { limit: { nanos: 300_000_000 } },
  });
  expect(attempt.step.toString()).toBe("begun\n");
});

test("a read-only folder that a step leaves behind is removed all the same", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({ run: ["mkdir -p a/b; touch a/b/c; chmod 500 a/b a"] });
  await s.peer.finished(attempt);
  await expect.poll(() => existsSync(join(s.workDir, "attempts", attempt.offer.leaseId))).toBe(false);
  await expect.poll(() => readdirSync(join(s.workDir, "trash"))).toEqual([]);
});

test("marks of other systems become groups and stay in the bytes", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({
    run: ["echo ::group::Build; echo hi; echo ::endgroup::; printf '%s' '--- Te'; echo st"],
  });
  await s.peer.finished(attempt);
  const text = "::group::Build\nhi\n::endgroup::\n--- Test\n";
  expect(attempt.step.toString()).toBe(text);
  expect(groupsOf(attempt)).toEqual([
    [0, 1, expect.any(String)],
    [15, 0, "Build"],
    [31, "end"],
    [text.length, 0, "Test"],
    [text.length, "end"],
    [text.length, "end"],
  ]);
});

test("the scripted executor does what the lines say", async () => {
  await using s = await scene({ RITMO_EXECUTORS: "scripted" });
  const attempt = s.peer.offer({ run: ["print hello\nbytes 100000 7", "exit 3"] });
  expect(await s.peer.finished(attempt)).toMatchObject({ end: { case: "exited", value: { code: 3 } }, failedEntry: 2 });
  expect(attempt.step.length).toBe(100_006);
  expect((await s.peer.finished(s.peer.offer({ run: ["oom"] }))).end.case).toBe("outOfMemory");
  const signalled = await s.peer.finished(s.peer.offer({ run: ["signal SIGKILL"] }));
  expect(signalled.end).toMatchObject({ case: "signalled", value: { signal: "SIGKILL" } });
  const kept = s.peer.offer({ run: ["artifact out/a.txt some words"], artifacts: ["out/**"] });
  await s.peer.finished(kept);
  expect(kept.uploads.get("out/a.txt")?.bytes.toString()).toBe("some words");
  const unknown = await s.peer.finished(s.peer.offer({ run: ["dance"] }));
  expect(unknown.end).toMatchObject({ case: "broken", value: { reason: "SCRIPT_INVALID", authorFault: true } });
});

test("nobody but the worker's user may look into its folder", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({ run: ["stat -c %a . .. ../../.."] });
  await s.peer.finished(attempt);
  expect(attempt.step.toString().split("\n").slice(0, 2)).toEqual(["700", "700"]);
  expect(readFileSync(join(s.workDir, "session.json"), "utf8")).toContain("resumeKey");
});
