import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { plantRunning } from "../../testing/plant-log.ts";
import { findArtifact } from "./artifact-row.ts";
import { downloadHandler } from "./download-handler.ts";
import { getDownloadUrl } from "./get-download-url.ts";
import { parseRange } from "./parse-range.ts";
import { downloadSigner } from "./sign-download.ts";

const BODY = Buffer.from("<script>alert(1)</script> and so on");

let core: ByteFixture;
let server: Server;
let base: string;
beforeAll(async () => {
  core = await byteFixture();
  const handle = downloadHandler(core);
  server = createServer((request, response) => {
    if (!handle(request, response)) response.writeHead(299).end("not ours");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await core[Symbol.asyncDispose]();
});

let count = 0;

async function plantArtifact(path: string, mediaType = "text/html"): Promise<string> {
  const at = await plantRunning(core.db);
  const id = `art_${String(++count).padStart(26, "0")}`;
  const sha256 = createHash("sha256").update(BODY).digest();
  await core.blobs.put(`o/x/${id}`, BODY, BODY.length);
  await core.db.sql`
    INSERT INTO artifacts (id, org_id, build_id, step_id, attempt_id, path, size_bytes, sha256, mode, media_type, object_key, stored_at)
    VALUES (${id}, 'org_default', ${at.buildId}, ${at.stepId}, ${at.attemptId}, ${path}, ${BODY.length}, ${sha256}, 420,
      ${mediaType}, ${`o/x/${id}`}, clock_timestamp())`;
  return id;
}

async function urlOf(id: string): Promise<string> {
  const artifact = await findArtifact(core.db.sql, "org_default", id);
  return (await getDownloadUrl({ blobs: core.blobs, signer: downloadSigner(core.db.sql), url: base }, artifact)).url;
}

test("a signed address gives the bytes as a file, never as a page", async () => {
  const answer = await fetch(await urlOf(await plantArtifact("dist/report.html")));
  expect(answer.status).toBe(200);
  expect(Buffer.from(await answer.arrayBuffer()).equals(BODY)).toBe(true);
  const headers = Object.fromEntries(answer.headers);
  expect(headers).toMatchObject({
    "content-disposition": 'attachment; filename="report.html"',
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "content-length": String(BODY.length),
    "accept-ranges": "bytes",
  });
});

test("a name with quotes, line ends, other scripts or turned reading stays one header", async () => {
  const url = await urlOf(await plantArtifact('a/we"ird\u202Eexe.ünï; x=y.txt'));
  expect((await fetch(url)).headers.get("content-disposition")).toBe(
    `attachment; filename="we_ird_exe._n_; x=y.txt"; filename*=UTF-8''we%22ird_exe.%C3%BCn%C3%AF%3B%20x%3Dy.txt`,
  );
});

test("ranges: one, of the file as it is", async () => {
  const url = await urlOf(await plantArtifact("f"));
  const get = async (range: string, more: Record<string, string> = {}) => {
    const answer = await fetch(url, { headers: { range, ...more } });
    return [answer.status, await answer.text(), answer.headers.get("content-range")];
  };
  const text = BODY.toString();
  expect(await get("bytes=8-12")).toEqual([206, text.slice(8, 13), `bytes 8-12/${text.length}`]);
  expect(await get("bytes=30-")).toEqual([206, text.slice(30), `bytes 30-${text.length - 1}/${text.length}`]);
  expect(await get("bytes=-3")).toEqual([
    206,
    text.slice(-3),
    `bytes ${text.length - 3}-${text.length - 1}/${text.length}`,
  ]);
  expect((await get("lines=1-2"))[0]).toBe(200);
  for (const bad of [
    "bytes=9999-",
    "bytes=5-2",
    "bytes=0-0,-1",
    "bytes=-",
    "bytes=x",
    "bytes=-0",
    `bytes=${"0-0,".repeat(1000)}0-0`,
  ]) {
    const [status, , range] = await get(bad);
    expect([bad.slice(0, 20), status, range]).toEqual([bad.slice(0, 20), 416, `bytes */${text.length}`]);
  }
  expect((await get("bytes=0-1", { "if-range": '"other"' }))[0]).toBe(200);
  const etag = (await fetch(url)).headers.get("etag") as string;
  expect((await get("bytes=0-1", { "if-range": etag }))[0]).toBe(206);
  expect((await fetch(url, { headers: { "if-none-match": etag } })).status).toBe(304);
  const head = await fetch(url, { method: "HEAD" });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, String(text.length)]);
});

test("an address that was changed, has ended, or was never signed gives nothing", async () => {
  const id = await plantArtifact("f");
  const url = await urlOf(id);
  const other = await plantArtifact("g");
  const status = async (address: string, init?: RequestInit) => (await fetch(address, init)).status;
  expect(await status(url)).toBe(200);
  expect(await status(url.replace(id, other))).toBe(403);
  expect(await status(url.replace(/expires=\d+/, "expires=99999999999"))).toBe(403);
  expect(await status(url.replace(/sig=.*/, "sig="))).toBe(403);
  expect(await status(`${base}/download/${id}`)).toBe(403);
  expect(await status(`${base}${await downloadSigner(core.db.sql).sign(id, Date.now() - 1000)}`)).toBe(403);
  expect(await status(url, { method: "POST" })).toBe(405);
  expect(await status(`${base}/download/../etc/passwd`)).toBe(299);
  expect(await status(`${base}/download/x%00y`)).toBe(404);
  expect(await status(`${base}/elsewhere`)).toBe(299);
  await core.blobs.delete(`o/x/${id}`);
  expect(await status(url)).toBe(404);
});

test("ranges are read as RFC 9110 says", () => {
  expect(parseRange(undefined, 10)).toBeUndefined();
  expect(parseRange("bytes=0-", 10)).toEqual({ offset: 0, length: 10 });
  expect(parseRange("bytes=-20", 10)).toEqual({ offset: 0, length: 10 });
  expect(parseRange("bytes=0-0", 0)).toBe("unsatisfiable");
});
