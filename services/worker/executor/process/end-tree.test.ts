import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { fakeControlPlane } from "../../testing/fake-control-plane.ts";
import { startWorker, workFolder } from "../../testing/start-worker.ts";

const alive = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));

// Each leaves a process behind in another way, and writes its number into a file.
const ESCAPES = {
  "a child in the background": "sleep 1000 &",
  "a child that holds no output": "sleep 1000 >/dev/null 2>&1 &",
  "a session of its own": "setsid sleep 1000 &",
  "twice forked into a session of its own":
    "(setsid sh -c 'sleep 1000 & echo $! > PID; wait' >/dev/null 2>&1 &) ; sleep 0.2",
  "one that ignores TERM": `sh -c 'trap "" TERM; echo $$ > PID; while :; do sleep 0.1; done' &`,
  "an empty environment": "env -i setsid sleep 1000 >/dev/null 2>&1 &",
};

async function pidIn(file: string): Promise<number> {
  await expect
    .poll(() => existsSync(file) && Number(readFileSync(file, "utf8")), { timeout: 10_000 })
    .toBeGreaterThan(0);
  return Number(readFileSync(file, "utf8"));
}

test.each(Object.entries(ESCAPES))("%s is ended when the commands are over", async (_name, command) => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using _worker = await startWorker(peer, folder.path);
  const file = join(folder.path, "pid");
  const record = command.includes("PID") ? command.replace("PID", file) : `${command} echo $! > ${file}`;
  const attempt = peer.offer({ run: [`${record}`, "echo last words"] });
  const pid = await pidIn(file);
  const finish = await peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
  expect(attempt.step.toString()).toBe("last words\n");
  expect(alive(pid)).toBe(false);
});

test.each(Object.entries(ESCAPES))("%s is ended when the step is stopped", async (_name, command) => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using _worker = await startWorker(peer, folder.path);
  const file = join(folder.path, "pid");
  const record = command.includes("PID") ? command.replace("PID", file) : `${command} echo $! > ${file}`;
  const attempt = peer.offer({ run: [`${record}\n sleep 1000`] });
  const pid = await pidIn(file);
  const { leaseId } = attempt.offer;
  peer.say({ case: "stop", value: { leaseId, reason: "not needed", grace: durationFromMs(300) } as never });
  const finish = await peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "stopped", value: { reason: "not needed" } });
  expect(alive(pid)).toBe(false);
});

test("TERM comes first and the grace is the step's own: what it writes on its way out is kept", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using _worker = await startWorker(peer, folder.path);
  const attempt = peer.offer({
    run: ["trap 'echo cleaning; sleep 0.2; echo clean; exit 0' TERM; echo up; sleep 1000 & wait"],
  });
  await expect.poll(() => attempt.step.toString()).toBe("up\n");
  attempt.stop = { reason: "cancelled", graceMs: 10_000 };
  const finish = await peer.finished(attempt);
  expect(finish.end.case).toBe("stopped");
  expect(attempt.step.toString()).toBe("up\ncleaning\nclean\n");
});

test("a lost lease ends the work, and nothing more of it is published", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using worker = await startWorker(peer, folder.path);
  const file = join(folder.path, "pid");
  const attempt = peer.offer({ run: [`echo $$ > ${file}; echo begun; while :; do sleep 0.05; echo more; done`] });
  const pid = await pidIn(file);
  await expect.poll(() => attempt.step.length).toBeGreaterThan(20);
  attempt.lost = true;
  const published = attempt.step.length;
  await expect.poll(() => alive(pid), { timeout: 10_000 }).toBe(false);
  await expect
    .poll(() => existsSync(join(worker.workDir, "attempts", attempt.offer.leaseId)), { timeout: 10_000 })
    .toBe(false);
  expect(attempt.finishes).toBe(0);
  expect(attempt.step.length).toBe(published);
  expect((await peer.finished(peer.offer({ run: ["true"] }))).end.case).toBe("exited");
});

test("a fork bomb of short lives is ended too", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using _worker = await startWorker(peer, folder.path);
  const attempt = peer.offer({
    run: ["trap '' TERM; f() { sleep 0.05; (f &) ; }; echo go; for i in 1 2 3 4 5; do f & done; sleep 1000"],
  });
  await expect.poll(() => attempt.step.toString()).toBe("go\n");
  attempt.stop = { reason: "enough", graceMs: 100 };
  expect((await peer.finished(attempt)).end.case).toBe("stopped");
});
