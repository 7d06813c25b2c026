import { expect } from "vitest";
import type { S3Settings } from "../control-plane/store/s3-client.ts";
import { freshDatabase } from "./fresh-database.ts";
import { runProcess } from "./run-process.ts";
import { startS3FaultProxy } from "./s3-fault-proxy.ts";
import { s3Servers, s3Settings, testUnless } from "./s3-servers.ts";

// What a person sees whose S3 settings are wrong: at the start one line, later the same in readiness.

const { weed, versitygw } = s3Servers();
const testWeed = testUnless(weed.absent);

function startServer(databaseUrl: string, settings: S3Settings) {
  return runProcess("control-plane/main.ts", {
    RITMO_DATABASE_URL: databaseUrl,
    RITMO_LISTEN: "127.0.0.1:0",
    RITMO_WORKER_LISTEN: "127.0.0.1:0",
    RITMO_METRICS_LISTEN: "127.0.0.1:0",
    RITMO_S3_ENDPOINT: settings.endpoint,
    RITMO_S3_BUCKET: settings.bucket,
    RITMO_S3_REGION: settings.region,
    RITMO_S3_ACCESS_KEY_ID: settings.accessKeyId,
    RITMO_S3_SECRET_ACCESS_KEY: settings.secretAccessKey,
  });
}

/** Starts a control plane that can't start, and answers what it said. */
async function lastWords(settings: S3Settings): Promise<string[]> {
  await using fresh = await freshDatabase();
  await using server = startServer(fresh.url, settings);
  expect(await server.ended).toBe(1);
  return server.lines.filter((line) => line.startsWith("ritmo server: "));
}

testWeed(
  "a missing bucket, a wrong key, a wrong secret and a key that may only read: one line each, and no start",
  async () => {
    const server = weed.server();
    const lines = await Promise.all(
      [
        { bucket: "no-such-bucket" },
        { accessKeyId: "nobody" },
        { secretAccessKey: "wrong" },
        server.readOnly ?? {},
      ].map(async (wrong) => lastWords(await s3Settings(server, wrong))),
    );
    expect(lines).toEqual([
      [expect.stringMatching(/^ritmo server: RITMO_S3_BUCKET: .* has no bucket no-such-bucket; make it/)],
      [expect.stringMatching(/^ritmo server: RITMO_S3_ACCESS_KEY_ID: .* does not know this key\.$/)],
      [expect.stringMatching(/^ritmo server: RITMO_S3_SECRET_ACCESS_KEY: .* refuses the signature/)],
      [expect.stringMatching(/^ritmo server: RITMO_S3_ACCESS_KEY_ID: the key may not list, write and delete in test-/)],
    ]);
  },
);

testUnless(versitygw.absent)("a wrong region: one line, and no start", async () => {
  const lines = await lastWords(await s3Settings(versitygw.server(), { region: "eu-north-1" }));
  expect(lines).toEqual([
    expect.stringMatching(/^ritmo server: RITMO_S3_REGION: .* in another region than eu-north-1/),
  ]);
});

testWeed("a store that refuses later is told by readiness, with the same line, until it does not", async () => {
  await using fresh = await freshDatabase();
  await using proxy = await startS3FaultProxy(weed.server().endpoint);
  const settings = await s3Settings(weed.server(), { endpoint: proxy.endpoint });
  await using server = startServer(fresh.url, settings);
  const { metrics } = await server.said("ready");
  const ready = async () => {
    const answer = await fetch(`http://${metrics}/readyz`);
    return { status: answer.status, text: await answer.text() };
  };
  await expect.poll(async () => (await ready()).status, { timeout: 10_000 }).toBe(200);
  for (const [fault, line] of [
    ["forbidden", "RITMO_S3_ACCESS_KEY_ID: the key may not list, write and delete"],
    ["skewed", "The clocks of this machine and of"],
  ] as const) {
    proxy.fail(fault, 1_000_000);
    await expect.poll(ready, { timeout: 10_000 }).toMatchObject({ status: 503, text: expect.stringContaining(line) });
    proxy.calm();
    await expect.poll(async () => (await ready()).status, { timeout: 10_000 }).toBe(200);
  }
});
