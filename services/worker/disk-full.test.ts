import { execFileSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fakeControlPlane } from "./testing/fake-control-plane.ts";
import { startWorker, workFolder } from "./testing/start-worker.ts";

/** A file system of a few mebibytes; undefined where this user may not mount one. */
function smallDisk(mebibytes: number): (Disposable & { path: string }) | undefined {
  const folder = workFolder();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder.path], { stdio: "ignore" });
  } catch {
    folder[Symbol.dispose]();
    return undefined;
  }
  return {
    path: folder.path,
    [Symbol.dispose]() {
      execFileSync("umount", ["-l", folder.path]);
      folder[Symbol.dispose]();
    },
  };
}

const probe = smallDisk(1);
probe?.[Symbol.dispose]();
const MAY_MOUNT = probe !== undefined;

test.runIf(MAY_MOUNT)(
  "[needs root to mount a small disk] a full disk slows the step; when it clears nothing is missing",
  async () => {
    using disk = smallDisk(8) as Disposable & { path: string };
    await using peer = await fakeControlPlane();
    await using _worker = await startWorker(peer, disk.path, { RITMO_DISK_FULL_SECONDS: "60" });
    const ballast = join(disk.path, "ballast");
    const attempt = peer.offer({
      run: ["echo begun", `until test -e ${disk.path}/go; do sleep 0.02; done`, "seq 200000"],
    });
    await expect.poll(() => attempt.step.toString()).toBe("begun\n");
    expect(() => execFileSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=64k"], { stdio: "ignore" })).toThrow();
    // The name alone needs no room.
    writeFileSync(join(disk.path, "go"), "");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(attempt.finish).toBeUndefined();
    rmSync(ballast);
    const finish = await peer.finished(attempt);
    expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
    const lines = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join("");
    expect(attempt.step.toString() === `begun\n${lines}`).toBe(true);
  },
);

test.runIf(MAY_MOUNT)(
  "[needs root to mount a small disk] a disk that stays full ends the step as ours, and what was acknowledged is kept",
  async () => {
    using disk = smallDisk(8) as Disposable & { path: string };
    await using peer = await fakeControlPlane();
    await using worker = await startWorker(peer, disk.path, { RITMO_DISK_FULL_SECONDS: "1" });
    const ballast = join(disk.path, "ballast");
    const attempt = peer.offer({ run: ["echo begun", `until test -e ${disk.path}/go; do sleep 0.02; done`, "yes"] });
    await expect.poll(() => attempt.step.toString()).toBe("begun\n");
    expect(() => execFileSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=64k"], { stdio: "ignore" })).toThrow();
    writeFileSync(join(disk.path, "go"), "");
    const finish = await peer.finished(attempt);
    expect(finish.end).toMatchObject({ case: "broken", value: { reason: "DISK_FULL", authorFault: false } });
    expect(attempt.step.toString().startsWith("begun\n")).toBe(true);
    expect(finish.finalOffset).toBe(BigInt(attempt.step.length));
    rmSync(ballast);
    await expect.poll(() => existsSync(join(worker.workDir, "attempts", attempt.offer.leaseId))).toBe(false);
    // The worker lives, and takes the next.
    expect((await peer.finished(peer.offer({ run: ["true"] }))).end).toMatchObject({ value: { code: 0 } });
  },
);

test.runIf(MAY_MOUNT)(
  "[needs root to mount a small disk] a step that filled the disk is out of the way when its end is told",
  async () => {
    using disk = smallDisk(8) as Disposable & { path: string };
    await using peer = await fakeControlPlane();
    await using worker = await startWorker(peer, disk.path, { RITMO_DISK_FULL_SECONDS: "1" });
    for (let round = 0; round < 3; round++) {
      const hog = peer.offer({ run: ["cat /dev/zero > fill || true", "yes"] });
      expect((await peer.finished(hog)).end).toMatchObject({ case: "broken", value: { reason: "DISK_FULL" } });
      expect(existsSync(join(worker.workDir, "attempts", hog.offer.leaseId, "workspace"))).toBe(false);
      const next = peer.offer({ run: ["head -c 3000000 /dev/zero > fill", "echo room"] });
      expect((await peer.finished(next)).end).toMatchObject({ case: "exited", value: { code: 0 } });
      expect(next.step.toString()).toBe("room\n");
    }
  },
);
