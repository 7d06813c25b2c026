import { afterAll, afterEach, beforeAll } from "vitest";
import type { BlobStore } from "../control-plane/store/blobs.ts";
import { openS3Blobs } from "../control-plane/store/s3-blobs.ts";
import { tellStoreFaults } from "../control-plane/store/tell-store-faults.ts";
import { type ByteFixture, byteFixture } from "./byte-fixture.ts";
import { type S3FaultProxy, type S3Request, startS3FaultProxy } from "./s3-fault-proxy.ts";
import { s3Servers, s3Settings, testUnless } from "./s3-servers.ts";

// Long enough for a busy machine that is warm, and still no time to wait for.
const SILENCE_MS = 800;

/** A real S3 server, the store that reaches it directly, and the one that reaches it through the fault proxy. */
export interface S3FaultScene {
  core: ByteFixture;
  proxy: S3FaultProxy;
  direct: Required<BlobStore>;
  store: Required<BlobStore>;
  /** The same, which soon gives up on a server that says nothing. */
  brief: Required<BlobStore>;
}

/** Sets the scene for the file that calls this. It is empty until the first test, and calm before each. */
export function s3FaultScene() {
  const { weed } = s3Servers();
  const scene = {} as S3FaultScene;
  beforeAll(async () => {
    scene.core = await byteFixture();
    if (weed.absent) return;
    scene.proxy = await startS3FaultProxy(weed.server().endpoint);
    const settings = await s3Settings(weed.server());
    scene.direct = openS3Blobs(settings) as Required<BlobStore>;
    const far = { ...settings, endpoint: scene.proxy.endpoint };
    scene.store = openS3Blobs(far) as Required<BlobStore>;
    scene.brief = openS3Blobs({ ...far, silenceMs: SILENCE_MS }) as Required<BlobStore>;
    // A bucket's first object takes the server seconds.
    await scene.direct.put("warm", Buffer.from("x"), 1);
    scene.core.blobs = tellStoreFaults(scene.store);
  });
  afterEach(() => scene.proxy?.calm());
  afterAll(async () => {
    await scene.proxy?.[Symbol.asyncDispose]();
    await scene.core[Symbol.asyncDispose]();
  });
  return { scene, testS3: testUnless(weed.absent) };
}

/** Requests of a method whose address has this in it. */
export const is =
  (method: string, part = "") =>
  (request: S3Request) =>
    request.method === method && request.url.includes(part);
