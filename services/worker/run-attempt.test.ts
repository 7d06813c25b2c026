import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fakeControlPlane } from "./testing/fake-control-plane.ts";
import { startWorker, workFolder } from "./testing/start-worker.ts";

test("a step runs, its log arrives byte for byte, and its end is told", async () => {
  using folder = workFolder();
  await using peer = await fakeControlPlane();
  await using worker = await startWorker(peer, folder.path);
  const attempt = peer.offer({
    run: ["echo one; echo two >&2; echo three", "X=4; cd /", "echo $X $PWD > /dev/stderr"],
  });
  const finish = await peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
  expect(attempt.step.toString()).toBe("one\ntwo\nthree\n4 /\n");
  expect(finish.finalOffset).toBe(BigInt(attempt.step.length));
  expect(Buffer.from(finish.logSha256)).toEqual(createHash("sha256").update(attempt.step).digest());
  expect(attempt.accepted).toBe(1);
  await expect.poll(() => existsSync(join(worker.workDir, "attempts", attempt.offer.leaseId))).toBe(false);
});
