import { createHash } from "node:crypto";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DOCKER_TURN_MS, startDocker, type TestDocker, whyNoDocker } from "../../../testing/start-docker.ts";
import { containerScene } from "../../testing/container-scene.ts";
import type { FakeAttempt } from "../../testing/fake-attempt.ts";

const missing = whyNoDocker();

const groupsOf = (attempt: FakeAttempt) =>
  attempt.marks.flatMap(({ offset, mark }) => {
    if (mark.case === "groupBegin") return [[Number(offset), mark.value.entry, mark.value.name]];
    return mark.case === "groupEnd" ? [[Number(offset), "end"]] : [];
  });

describe.skipIf(missing !== undefined)(`steps in containers${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let engine: TestDocker;
  beforeAll(async () => {
    engine = await startDocker();
  }, DOCKER_TURN_MS);
  afterAll(() => engine?.[Symbol.asyncDispose]());

  test("a step runs in its image; log, groups and end are told as of a process, and nothing is left", async () => {
    await using s = await containerScene(engine);
    const { attempt, finish, prepare } = await s.run({
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
    expect(prepare).toMatch(/^image busybox:local is sha256:[0-9a-f]{64} /);
    await expect.poll(() => engine.made()).toEqual([]);
    await expect.poll(() => readdirSync(join(s.workDir, "containers"))).toEqual([]);
  });

  test("the entry that failed and its code are told, a signal apart from a code, a shell that is absent", async () => {
    await using s = await containerScene(engine);
    const [failed, killed, code, child, python, sh] = await Promise.all([
      s.run({ run: ["echo first", "false; echo no", "echo never"] }),
      s.run({ run: ["echo a", "kill -9 $$"] }),
      s.run({ run: ["exit 137"] }),
      s.run({ run: ["sh -c 'kill -9 $$'"] }),
      s.run({ run: ["print(1)"], shell: "python3" }),
      s.run({ run: ["false", "echo still"], shell: "sh +e" }),
    ]);
    expect(failed.finish).toMatchObject({ end: { case: "exited", value: { code: 1 } }, failedEntry: 2 });
    expect(failed.text).toBe("first\n");
    expect(killed.finish).toMatchObject({ end: { case: "signalled", value: { signal: "SIGKILL" } }, failedEntry: 2 });
    expect(code.finish).toMatchObject({ end: { case: "exited", value: { code: 137 } }, failedEntry: 1 });
    expect(child.finish).toMatchObject({ end: { case: "exited", value: { code: 137 } } });
    const absent = { case: "broken", value: { reason: "SHELL_NOT_FOUND", authorFault: true } };
    expect(python.finish.end).toMatchObject(absent);
    expect(sh.text).toBe("still\n");
    // What holds no /bin/sh can't run the commands of a step, and says so.
    await engine.importImage("no-shell:local", { keep: ["etc"] });
    expect((await s.run({ run: ["true"], image: "no-shell:local" })).finish.end).toMatchObject(absent);
  });

  test("a flood of every byte arrives whole and in order, also what was written last and without a line's end", async () => {
    await using s = await containerScene(engine);
    const script = [
      "head -c 8000000 /dev/urandom > noise; cat noise",
      // 2 MB of lines, alternating between the outputs.
      "i=0; while [ $i -lt 20000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done > both 2>&1; cat both >&2",
      "printf 'no line end\\000\\377'",
    ];
    const { attempt, finish } = await s.run({ run: script, artifacts: ["noise", "both"] });
    expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
    const [noise, both] = ["noise", "both"].map((name) => attempt.uploads.get(name)?.bytes ?? Buffer.alloc(0));
    const wanted = Buffer.concat([noise as Buffer, both as Buffer, Buffer.from("no line end\0\xff", "latin1")]);
    expect(attempt.step.length).toBe(wanted.length);
    expect(attempt.step.equals(wanted)).toBe(true);
    expect(groupsOf(attempt).map(([at]) => at)).toEqual([
      0,
      noise?.length,
      noise?.length,
      wanted.length - 13,
      wanted.length - 13,
      wanted.length,
    ]);
  });

  test("a log that nobody takes holds the container, and nothing of it is lost when that changes", async () => {
    await using s = await containerScene(engine, { RITMO_SPOOL_MAX_BYTES: String(1024 ** 2) });
    // A verdict would stand in for a lost acknowledgement, so there are none either.
    s.peer.switches.loseAcks = s.peer.switches.silent = true;
    const attempt = s.offer({
      run: ["head -c 6000000 /dev/urandom > noise; cat noise; echo last"],
      artifacts: ["noise"],
    });
    const paused = async () => (await engine.docker.listContainers({ all: true })).map(({ State }) => State);
    await expect.poll(paused, { timeout: 10_000 }).toEqual(["paused"]);
    s.peer.switches.loseAcks = s.peer.switches.silent = false;
    s.peer.breakStreams();
    const finish = await s.peer.finished(attempt);
    expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
    const noise = attempt.uploads.get("noise")?.bytes ?? Buffer.alloc(0);
    expect(attempt.step.equals(Buffer.concat([noise, Buffer.from("last\n")]))).toBe(true);
  });

  test("no privileges, few capabilities, an unprivileged user, limits, and a worker's files read-only", async () => {
    await using s = await containerScene(engine);
    const status = "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '";
    const [plain, root, named, limited] = await Promise.all([
      s.run({ run: [status, "touch made; stat -c %u made .", "echo x > /ritmo/step/run-1 || echo refused"] }),
      engine
        .importImage("root:local", { changes: ["USER root"] })
        .then(() => s.run({ run: [status, "mount -t tmpfs x /mnt || echo refused"], image: "root:local" })),
      engine
        .importImage("ada:local", { changes: ["USER ada"] })
        .then(() =>
          s.run({ run: ["id -u; id -g; touch made; cat /etc/passwd > copy"], image: "ada:local", artifacts: ["copy"] }),
        ),
      s.run({
        run: ["cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || :"],
        resources: { cpuMillis: 500, memoryBytes: BigInt(64 * 1024 ** 2) } as never,
      }),
    ]);
    expect(plain.text).toContain("Uid: 10001 10001 10001 10001\n");
    expect(plain.text).toContain("CapEff: 0000000000000000\n");
    expect(plain.text).toContain("NoNewPrivs: 1\nSeccomp: 2\n10001\n10001\n");
    expect(plain.text).toMatch(/Read-only file system|Permission denied/);
    expect(plain.text).toMatch(/refused\n$/);
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE: see capability.h.
    expect(root.text).toContain("CapEff: 00000000000004fb\nCapBnd: 00000000000004fb\n");
    expect(root.text).toMatch(/Uid: 0 0 0 0\n[\s\S]*refused\n$/);
    expect(named.text).toBe("1234\n1235\n");
    expect(named.finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
    expect(limited.text).toContain(String(64 * 1024 ** 2));
  });

  test("a step out of memory says so, and one that is merely killed does not", async () => {
    await using s = await containerScene(engine);
    const memory = { resources: { memoryBytes: BigInt(32 * 1024 ** 2) } as never };
    const hog = await s.run({ run: ["echo begun", "x=x; while :; do x=$x$x; done"], ...memory });
    expect(hog.finish).toMatchObject({ end: { case: "outOfMemory" }, failedEntry: 2 });
    expect(hog.text).toBe("begun\n");
    expect((await s.run({ run: ["kill -9 $$"], ...memory })).finish.end.case).toBe("signalled");
  });

  test("the environment is the step's and the image's own: nothing of the worker's", async () => {
    await using s = await containerScene(engine);
    await engine.importImage("env:local", { changes: ["ENV OF_IMAGE=yes PATH=/bin:/of/image"] });
    const { text } = await s.run({
      run: ["env"],
      image: "env:local",
      env: [{ name: "OWN", value: "a=b 'c'\nd" }] as never,
    });
    expect(text).not.toMatch(/RITMO_WORKER_TOKEN|rw_|VITEST|NODE_|RITMO_WORD/);
    for (const line of ["PATH=/bin:/of/image", "OF_IMAGE=yes", "HOME=/ritmo/home", "RITMO_WORKSPACE=/ritmo/workspace"])
      expect(text.split("\n")).toContain(line);
    expect(text).toContain("OWN=a=b 'c'\nd\n");
    expect(text).toContain("RITMO_OUTPUT=/ritmo/script/output\n");
  });

  test("two steps do not see each other's network, nor each other's processes", async () => {
    await using s = await containerScene(engine);
    const server = s.offer({
      run: ["ip -4 -o addr show eth0 | sed 's/.*inet //; s,/.*,,'; echo hi | nc -l -p 5000 -w 60"],
    });
    await expect.poll(() => server.step.toString()).toMatch(/^\d+\.\d+\.\d+\.\d+\n/);
    const address = server.step.toString().trim();
    const stranger = await s.run({ run: [`nc -w 2 ${address} 5000 < /dev/null || echo unreachable`, "ps | wc -l"] });
    expect(stranger.text).toMatch(/unreachable\n/);
    // The control: from where the worker is it can be reached.
    await expect.poll(() => canConnect(address, 5000)).toBe(true);
    expect((await s.peer.finished(server)).end.case).toBe("exited");
  });

  test("a stop ends what ignores TERM, one that listens gets its grace, and a timeout says so", async () => {
    await using s = await containerScene(engine);
    const stubborn = s.offer({
      run: ["trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo up; wait; sleep 1000"],
    });
    const polite = s.offer({
      run: ["trap 'echo cleaning; sleep 0.2; echo clean; exit 0' TERM; echo up; sleep 1000 & wait"],
    });
    const late = s.offer({ run: ["echo up; sleep 1000"], timeout: durationFromMs(1500) as never });
    for (const one of [stubborn, polite])
      await expect.poll(() => one.step.toString(), { timeout: 10_000 }).toBe("up\n");
    stubborn.stop = { reason: "enough", graceMs: 300 };
    polite.stop = { reason: "cancelled", graceMs: 10_000 };
    expect((await s.peer.finished(stubborn)).end).toMatchObject({ case: "stopped", value: { reason: "enough" } });
    expect((await s.peer.finished(polite)).end.case).toBe("stopped");
    expect(polite.step.toString()).toBe("up\ncleaning\nclean\n");
    expect((await s.peer.finished(late)).end.case).toBe("timedOut");
    await expect.poll(() => engine.made()).toEqual([]);
  });

  test("what carries our names and labels and is not ours is never touched", async () => {
    await using s = await containerScene(engine);
    const ledger = join(s.workDir, "containers");
    const Labels = { "ritmo.ledger": ledger, "ritmo.lease": "x", "ritmo.nonce": "forged" };
    const foreign = await engine.docker.createContainer({
      name: "ritmo-00000000-0000-4000-8000-000000000000",
      Image: engine.image,
      Cmd: ["sleep", "1000"],
      Labels,
    });
    await foreign.start();
    // As if this worker had meant to make one of that name when it was killed.
    const leaseId = "00000000-0000-4000-8000-000000000000";
    const entry = { leaseId, engineId: (await engine.docker.info()).ID, nonce: "our own", name: `ritmo-${leaseId}` };
    writeFileSync(join(ledger, `${leaseId}.json`), JSON.stringify(entry));
    await s.worker[Symbol.asyncDispose]();
    await using again = await containerScene(engine, { RITMO_WORK_DIR: s.workDir });
    await expect.poll(() => existsSync(join(ledger, `${leaseId}.json`))).toBe(false);
    expect((await again.run({ run: ["true"] })).finish.end.case).toBe("exited");
    expect((await foreign.inspect()).State.Running).toBe(true);
    await foreign.remove({ force: true });
  });

  test("an image that can't be had, or can't be run here, says which and why", async () => {
    await using s = await containerScene(engine);
    await engine.importImage("foreign:local", { platform: "linux/arm64" });
    await engine.importImage("stranger:local", { changes: ["USER nobody-knows"] });
    const [option, absent, foreign, user] = await Promise.all([
      s.run({ run: ["true"], image: "busybox --privileged" }),
      s.run({ run: ["true"], image: "127.0.0.1:1/no/such:1" }),
      s.run({ run: ["true"], image: "foreign:local" }),
      s.run({ run: ["true"], image: "stranger:local" }),
    ]);
    expect(option.finish.end).toMatchObject({ value: { reason: "IMAGE_NAME_INVALID", authorFault: true } });
    expect(absent.finish.end).toMatchObject({ value: { reason: "REGISTRY_UNREACHABLE", authorFault: false } });
    expect(absent.prepare).toMatch(/^pulling 127.0.0.1:1\/no\/such:1\n127.0.0.1:1 can't be reached/);
    expect(foreign.finish.end).toMatchObject({ value: { reason: "IMAGE_WRONG_ARCHITECTURE", authorFault: true } });
    expect(foreign.prepare).toMatch(/is made for linux\/arm64, and this worker is linux\/amd64/);
    expect(user.finish.end).toMatchObject({ value: { reason: "IMAGE_USER_UNKNOWN", authorFault: true } });
    await expect.poll(() => engine.made()).toEqual([]);
  });
});

async function canConnect(host: string, port: number): Promise<boolean> {
  const { connect } = await import("node:net");
  return new Promise((resolve) => {
    const socket = connect(port, host, () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.setTimeout(2_000, () => resolve(false));
    void socket.on("close", () => socket.destroy());
    socket.resume();
  });
}
