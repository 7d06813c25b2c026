import { buffer } from "node:stream/consumers";
import { BlobMissing, type BlobStore } from "../store/blobs.ts";
import type { DatabaseLife, SeenLife } from "./decide-life.ts";

/** Where the object store says whose it is, and how far that one's database had come. */
export const MARK_KEY = "ritmo/incarnation.json";

type Store = Pick<BlobStore, "get" | "put" | "create">;

/** What the store says; undefined for one that nobody has used. */
export async function readMark(blobs: Store): Promise<SeenLife | undefined> {
  try {
    const mark = JSON.parse((await buffer(await blobs.get(MARK_KEY))).toString()) as Partial<SeenLife>;
    const { installation, number, beats } = mark;
    if (typeof installation !== "string" || typeof number !== "number" || typeof beats !== "number")
      throw new Error(`${MARK_KEY} in the object store is not what Ritmo writes there; remove it to have it made anew`);
    return { installation, number, beats };
  } catch (reason) {
    if (reason instanceof BlobMissing) return undefined;
    throw reason;
  }
}

/** Takes a store that nobody has used. Answers false when another was first. */
export function createMark(blobs: Store, life: DatabaseLife): Promise<boolean> {
  return blobs.create(MARK_KEY, bytesOf(life));
}

/** Writes down how far the database has come. */
export async function writeMark(blobs: Store, life: DatabaseLife): Promise<void> {
  const bytes = bytesOf(life);
  await blobs.put(MARK_KEY, bytes, bytes.length, "application/json");
}

function bytesOf({ installation, number, beats }: DatabaseLife): Buffer {
  return Buffer.from(`${JSON.stringify({ installation, number, beats })}\n`);
}
