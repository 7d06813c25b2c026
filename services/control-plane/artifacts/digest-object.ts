import { createHash } from "node:crypto";
import type { BlobStore } from "../store/blobs.ts";

/** SHA-256 of a stored object, read once through. Throws BlobMissing. */
export async function digestObject(blobs: BlobStore, key: string): Promise<Buffer> {
  const hash = createHash("sha256");
  for await (const bytes of await blobs.get(key)) hash.update(bytes as Buffer);
  return hash.digest();
}
