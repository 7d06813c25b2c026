import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type FakeOptions, fakeControlPlane } from "../testing/fake-control-plane.ts";
import { startWorker, workFolder } from "../testing/start-worker.ts";

// Lines, a wide range of bytes, no newline at the end; written by the step and made again here.
const WRITE = (bytes: number) =>
  `awk 'BEGIN { for (i = 0; i * 64 < ${bytes}; i++) printf "%063d\\n", i; printf "no end" }'`;
function written(bytes: number): Buffer {
  const lines: string[] = [];
  for (let i = 0; i * 64 < bytes; i++) lines.push(`${String(i).padStart(63, "0")}\n`);
  return Buffer.from(`${lines.join("")}no end`);
}

async function scene(options: FakeOptions = {}, env: Record<string, string> = {}) {
  const folder = workFolder();
  const peer = await fakeControlPlane(options);
  const worker = await startWorker(peer, folder.path, env);
  return {
    peer,
    workDir: folder.path,
    async [Symbol.asyncDispose]() {
      await worker[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const SIZE = 3_000_000;

test("streams that break again and again cost no byte and double none", async () => {
  await using s = await scene();
  s.peer.switches.breakLogAfter = 3;
  const attempt = s.peer.offer({ run: [WRITE(SIZE)] });
  const finish = await s.peer.finished(attempt);
  expect(finish.end).toMatchObject({ value: { code: 0 } });
  expect(attempt.step.equals(written(SIZE))).toBe(true);
  expect(Buffer.from(finish.logSha256)).toEqual(createHash("sha256").update(written(SIZE)).digest());
});

test("acknowledgements that are lost are made up for by sending again", async () => {
  await using s = await scene();
  s.peer.switches.loseAcks = true;
  const attempt = s.peer.offer({ run: [WRITE(SIZE)] });
  await expect.poll(() => attempt.step.length, { timeout: 10_000 }).toBeGreaterThan(SIZE / 2);
  s.peer.switches.loseAcks = false;
  s.peer.breakStreams();
  await s.peer.finished(attempt);
  expect(attempt.step.equals(written(SIZE))).toBe(true);
});

test("a verdict that says how far the log is there stands for a lost acknowledgement", async () => {
  await using s = await scene();
  s.peer.switches.loseAcks = true;
  const attempt = s.peer.offer({ run: ["echo only line"] });
  // Nothing is acknowledged on the stream; the reports' answers tell.
  const finish = await s.peer.finished(attempt);
  expect(attempt.step.toString()).toBe("only line\n");
  expect(finish.finalOffset).toBe(10n);
});

test("a slow control plane slows the log and keeps it whole, with no more in flight than is allowed", async () => {
  await using s = await scene({ limits: { maxInflightBytes: 300_000n, maxChunkBytes: 20_000 } });
  s.peer.switches.ackDelayMs = 2;
  const attempt = s.peer.offer({ run: [WRITE(SIZE)] });
  await s.peer.finished(attempt);
  expect(attempt.step.equals(written(SIZE))).toBe(true);
  expect(attempt.chunks).toBeGreaterThanOrEqual(SIZE / 20_000);
});

test("a chunk that is refused once is sent again; one that is refused twice ends the attempt as ours", async () => {
  await using s = await scene();
  s.peer.switches.refuseChunks = { reason: "LOG_CORRUPT", times: 1 };
  const once = s.peer.offer({ run: ["echo hello"] });
  await s.peer.finished(once);
  expect(once.step.toString()).toBe("hello\n");
  s.peer.switches.refuseChunks = { reason: "LOG_CONFLICT", times: 2 };
  const twice = s.peer.offer({ run: ["echo hello; sleep 100"] });
  const finish = await s.peer.finished(twice);
  expect(finish.end).toMatchObject({ case: "broken", value: { reason: "LOG_REFUSED", authorFault: false } });
  expect(finish.finalOffset).toBe(0n);
});

test("a line of 100 MiB, of all bytes and without an end, arrives as it was written", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({
    run: ["head -c 104857600 /dev/urandom | tr '\\n' 'x' | tee >(sha256sum > sum)", "sleep 0.1; cat sum >&2"],
  });
  const finish = await s.peer.finished(attempt);
  const line = attempt.step.subarray(0, 104_857_600);
  const told = attempt.step.subarray(104_857_600).toString().split(" ")[0];
  expect(createHash("sha256").update(line).digest("hex")).toBe(told);
  expect(Number(finish.finalOffset)).toBe(attempt.step.length);
});

test("bytes beyond the cap are counted and not kept, a mark says so, and the step goes on", async () => {
  await using s = await scene({ limits: { maxLogBytes: 100_000n } });
  const attempt = s.peer.offer({ run: [WRITE(200_000), "exit 3"] });
  const finish = await s.peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "exited", value: { code: 3 } });
  expect(attempt.step.equals(written(200_000).subarray(0, 100_000))).toBe(true);
  expect(finish.droppedLogBytes).toBe(BigInt(written(200_000).length - 100_000));
  const dropped = attempt.marks.filter(({ mark }) => mark.case === "dropped");
  expect(dropped).toHaveLength(1);
  expect(dropped[0]?.offset).toBe(100_000n);
});

test("acknowledged bytes leave the disk while the step runs, and a small spool slows the step", async () => {
  await using s = await scene({}, { RITMO_SPOOL_MAX_BYTES: String(2 * 1024 * 1024) });
  const attempt = s.peer.offer({ run: [WRITE(12_000_000)] });
  const folder = join(s.workDir, "attempts", attempt.offer.leaseId, "step-log");
  let most = 0;
  const watch = setInterval(() => {
    try {
      most = Math.max(
        most,
        readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0),
      );
    } catch {
      // Not there yet, or gone.
    }
  }, 2);
  await s.peer.finished(attempt);
  clearInterval(watch);
  expect(attempt.step.equals(written(12_000_000))).toBe(true);
  expect(most).toBeLessThan(5 * 1024 * 1024);
});

test("a lone line leaves while the step goes on, and an entry that writes nothing is seen to begin", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({ run: ["echo alone", `until test -e ${s.workDir}/go; do sleep 0.02; done`] });
  await expect.poll(() => attempt.step.toString()).toBe("alone\n");
  await expect.poll(() => attempt.marks.filter(({ mark }) => mark.case === "groupBegin").length).toBe(2);
  expect(attempt.finish).toBeUndefined();
  await import("node:fs/promises").then((fs) => fs.writeFile(join(s.workDir, "go"), ""));
  await s.peer.finished(attempt);
});
