import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { type FakeOptions, fakeControlPlane } from "../testing/fake-control-plane.ts";
import { startWorker, workFolder } from "../testing/start-worker.ts";

async function scene(options: FakeOptions = {}) {
  const folder = workFolder();
  const peer = await fakeControlPlane(options);
  const worker = await startWorker(peer, folder.path);
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

test("the files that globs name are kept, with their digest and mode; links and what nothing matches are told", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({
    run: [
      "mkdir -p dist/deep other; printf one > dist/one.txt; printf '#!/bin/sh' > dist/deep/run.sh; chmod 755 dist/deep/run.sh",
      "printf no > dist/skip.map; : > dist/empty; ln -s /etc/passwd dist/passwd; ln -s /etc dist/etc; printf x > other/x",
    ],
    artifacts: ["dist/**", "!*.map", "nothing/**"],
  });
  const finish = await s.peer.finished(attempt);
  expect(finish.end).toMatchObject({ case: "exited", value: { code: 0 } });
  expect([...attempt.uploads.keys()].sort()).toEqual(["dist/deep/run.sh", "dist/empty", "dist/one.txt"]);
  const run = attempt.uploads.get("dist/deep/run.sh");
  expect(run).toMatchObject({ committed: true, request: { mode: 0o755 } });
  expect(attempt.uploads.get("dist/one.txt")).toMatchObject({
    committed: true,
    request: { mediaType: "text/plain", mode: 0o644 },
  });
  expect(run?.bytes.toString()).toBe("#!/bin/sh");
  expect(attempt.stages.at(-1)).toBe(2);
  const told = attempt.prepare.toString();
  expect(told).toContain('no file matches "nothing/**"');
  expect(told).toContain('"dist/passwd" is a link and is not kept');
  expect(told).toMatch(/kept 3 files, 12 bytes/);
  expect(finish.finalPrepareOffset).toBe(BigInt(attempt.prepare.length));
});

test("a failed step keeps its files too, and its own end stands", async () => {
  await using s = await scene();
  const attempt = s.peer.offer({ run: ["echo report > report.txt; exit 9"], artifacts: ["report.txt"] });
  const finish = await s.peer.finished(attempt);
  expect(finish).toMatchObject({ end: { case: "exited", value: { code: 9 } }, failedEntry: 1 });
  expect(attempt.uploads.get("report.txt")?.committed).toBe(true);
});

test("an upload goes on where it broke", async () => {
  await using s = await scene();
  s.peer.switches.breakSendAfterBytes = 400_000;
  const attempt = s.peer.offer({
    run: ["head -c 3000000 /dev/urandom > big.bin; sha256sum big.bin"],
    artifacts: ["big.bin"],
  });
  await s.peer.finished(attempt);
  const upload = attempt.uploads.get("big.bin");
  expect(upload?.committed).toBe(true);
  expect(upload?.sends).toBeGreaterThan(1);
  const digest = createHash("sha256")
    .update(upload?.bytes ?? "")
    .digest("hex");
  expect(attempt.step.toString()).toContain(digest);
});

test("an artifact that the control plane refuses breaks a step that was good, with its reason", async () => {
  await using s = await scene();
  s.peer.switches.refuseUploads = { code: 8, reason: "ARTIFACT_TOO_LARGE" };
  const good = s.peer.offer({ run: ["echo x > x"], artifacts: ["x"] });
  expect((await s.peer.finished(good)).end).toMatchObject({
    case: "broken",
    value: { reason: "ARTIFACT_TOO_LARGE", authorFault: true },
  });
  const red = s.peer.offer({ run: ["echo x > x; exit 4"], artifacts: ["x"] });
  expect((await s.peer.finished(red)).end).toMatchObject({ case: "exited", value: { code: 4 } });
  expect(red.prepare.toString()).toContain("artifacts were not delivered");
});

test("more files than may be kept are refused before any is sent", async () => {
  await using s = await scene({ limits: { maxArtifacts: 3 } });
  const attempt = s.peer.offer({ run: ["touch a b c d"], artifacts: ["*"] });
  expect((await s.peer.finished(attempt)).end).toMatchObject({
    case: "broken",
    value: { reason: "TOO_MANY_ARTIFACTS" },
  });
  expect(attempt.uploads.size).toBe(0);
});

test("signed parts are PUT to the store, again where it was away, and what is there already is not sent", async () => {
  const put: { url: string; body: Buffer }[] = [];
  let away = 2;
  const store = createServer(async (request: IncomingMessage, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    if (away-- > 0) return void response.writeHead(503).end("SlowDown");
    put.push({ url: request.url ?? "", body: Buffer.concat(parts) });
    response.writeHead(200, { etag: `"tag-${request.url?.slice(1)}"` }).end();
  });
  await new Promise<void>((resolve) => store.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(store.address() as AddressInfo).port}`;
  await using s = await scene();
  s.peer.switches.signedParts = { partBytes: 1000, url, there: { 2: '"tag-known"' } };
  const attempt = s.peer.offer({ run: ["head -c 2500 /dev/zero | tr '\\0' z > z.bin"], artifacts: ["z.bin"] });
  expect((await s.peer.finished(attempt)).end).toMatchObject({ case: "exited" });
  expect(put.map((one) => [one.url, one.body.length]).sort()).toEqual([
    ["/1", 1000],
    ["/3", 500],
  ]);
  expect(attempt.uploads.get("z.bin")?.parts).toEqual([
    [1, '"tag-1"'],
    [2, '"tag-known"'],
    [3, '"tag-3"'],
  ]);
  expect(attempt.prepare.toString()).not.toContain(url);
  store.close();
});

test("inputs come with their modes and digests, and go on where they broke", async () => {
  await using s = await scene();
  const bytes = Buffer.alloc(700_000, "input ");
  const sha256 = createHash("sha256").update(bytes).digest();
  s.peer.switches.fetchPieceBytes = 300_000;
  s.peer.switches.inputs = [
    { artifactId: "art_1", path: "from/build/data.txt", sizeBytes: BigInt(bytes.length), sha256, mode: 0o640, bytes },
    {
      artifactId: "art_2",
      path: "tool",
      sizeBytes: 4n,
      sha256: createHash("sha256").update("#!sh").digest(),
      mode: 0o755,
      bytes: Buffer.from("#!sh"),
    },
  ];
  const attempt = s.peer.offer({
    run: ["sha256sum from/build/data.txt; stat -c %a from/build/data.txt tool"],
    inputs: [{ artifacts: "build" }] as never,
  });
  await s.peer.finished(attempt);
  expect(attempt.step.toString()).toBe(`${sha256.toString("hex")}  from/build/data.txt\n640\n755\n`);
  expect(attempt.prepare.toString()).toMatch(/^brought in 2 files, 700004 bytes/);
});

test.each([
  ["climbs", "../../outside.txt"],
  ["is absolute", "/tmp/outside.txt"],
  ["hides a climb", "a/../../outside.txt"],
  ["is empty", ""],
])("an input whose path %s is refused", async (_name, path) => {
  await using s = await scene();
  const sha256 = createHash("sha256").update("x").digest();
  s.peer.switches.inputs = [{ artifactId: "art_1", path, sizeBytes: 1n, sha256, mode: 0o644, bytes: Buffer.from("x") }];
  const attempt = s.peer.offer({ run: ["echo ran"], inputs: [{ artifacts: "build" }] as never });
  expect((await s.peer.finished(attempt)).end).toMatchObject({ case: "broken", value: { reason: "INPUT_REFUSED" } });
  expect(attempt.step.length).toBe(0);
});

test("an input that is not what was kept, and one that isn't there, break the attempt", async () => {
  await using s = await scene();
  const sha256 = createHash("sha256").update("y").digest();
  s.peer.switches.inputs = [
    { artifactId: "art_1", path: "x", sizeBytes: 1n, sha256, mode: 0o644, bytes: Buffer.from("x") },
  ];
  const other = s.peer.offer({ run: ["true"], inputs: [{ artifacts: "build" }] as never });
  expect((await s.peer.finished(other)).end).toMatchObject({ case: "broken", value: { reason: "INPUT_CORRUPT" } });
  s.peer.switches.missingInputs = true;
  const gone = s.peer.offer({ run: ["true"], inputs: [{ artifacts: "build" }] as never });
  expect((await s.peer.finished(gone)).end).toMatchObject({ case: "broken", value: { reason: "INPUT_MISSING" } });
});
