import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { openBlobs } from "./open-blobs.ts";

const KEY = "o/1/b/1/l/1/x";
const UNAVAILABLE = { code: "unavailable", reason: "STORE_UNAVAILABLE" };

let server: Server | undefined;
afterEach(() => new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve())));

/** A server that speaks S3 just enough to go wrong. */
async function peer(answer: RequestListener) {
  server = createServer(answer);
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return storeAt(`http://127.0.0.1:${port}`);
}

const storeAt = (s3Endpoint: string) =>
  openBlobs({
    ...{ s3Endpoint, s3Bucket: "ritmo", s3AccessKeyId: "a", s3SecretAccessKey: "b", s3Region: "us-east-1" },
    ...{ s3PathStyle: true, s3PublicEndpoint: undefined, blobDir: undefined },
  });

const errorBody = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`;
const withError =
  (status: number, code: string): RequestListener =>
  (request, response) => {
    request
      .resume()
      .on("end", () => response.writeHead(status, { "content-type": "application/xml" }).end(errorBody(code)));
  };

test("a 200 with an error in its body is no completed upload", async () => {
  const store = await peer(withError(200, "InternalError"));
  const done = store.signed?.completeParts(KEY, "id", [{ number: 1, etag: "x" }]);
  await expect(done).rejects.toMatchObject(UNAVAILABLE);
});

test.each([400, 200])("parts that the server does not have are told as that, in a %i too", async (status) => {
  const store = await peer(withError(status, "InvalidPart"));
  const done = store.signed?.completeParts(KEY, "id", [{ number: 1, etag: "x" }]);
  await expect(done).rejects.toMatchObject({ name: "PartsRefused" });
});

test.each([
  [503, "SlowDown"],
  [500, "InternalError"],
  [403, "AccessDenied"],
])("%i %s is the store's fault, not the caller's", async (status, code) => {
  const store = await peer(withError(status, code));
  await expect(store.put(KEY, Buffer.from("x"), 1)).rejects.toMatchObject(UNAVAILABLE);
  await expect(store.get(KEY)).rejects.toMatchObject(UNAVAILABLE);
});

test("a server that is not there is the store's fault; an object that is not there is none", async () => {
  await expect(storeAt("http://127.0.0.1:9").get(KEY)).rejects.toMatchObject(UNAVAILABLE);
  const store = await peer(withError(404, "NoSuchKey"));
  await expect(store.get(KEY)).rejects.toMatchObject({ name: "BlobMissing" });
  expect(await store.head(KEY)).toBeUndefined();
});
