import { mkdir, open, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import {
  type FinishStepRequest,
  FinishStepRequestSchema,
  type Offer,
  OfferSchema,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { type Folders, foldersOf } from "../workspace/make-folders.ts";

export interface RememberedSession {
  sessionId: string;
  resumeKey: Uint8Array;
}

/** An attempt that an earlier life of this worker had in hand. */
export interface LeftAttempt {
  leaseId: string;
  folders: Folders;
  offer: Offer | undefined;
  remembered: Record<string, unknown>;
  /** How it ended, where that was known already. */
  finish: FinishStepRequest | undefined;
}

/**
 * What a worker must still know when it starts again after a crash: its session, and each attempt in hand beside the
 * attempt's own files. An attempt is forgotten by moving its folder away.
 */
export interface Journal {
  readonly session: RememberedSession | undefined;
  keepSession(session: RememberedSession | undefined): Promise<void>;
  /** The folder must be there. */
  keepOffer(folders: Folders, offer: Offer): Promise<void>;
  keepRunning(folders: Folders, remember: Record<string, unknown>): Promise<void>;
  /** On disk when it resolves, and there after a crash of the machine. */
  keepFinish(folders: Folders, finish: FinishStepRequest): Promise<void>;
  /** What an earlier life left; folders that are no attempts are ignored. */
  leftovers(): Promise<LeftAttempt[]>;
}

/** Opens the journal of a work folder. */
export async function openJournal(workDir: string): Promise<Journal> {
  const attemptsDir = join(workDir, "attempts");
  await mkdir(attemptsDir, { recursive: true, mode: 0o700 });
  const sessionFile = join(workDir, "session.json");
  let session = await readSession(sessionFile);
  return {
    get session() {
      return session;
    },
    async keepSession(next) {
      session = next;
      const kept = next && { sessionId: next.sessionId, resumeKey: Buffer.from(next.resumeKey).toString("base64") };
      await writeDurably(sessionFile, JSON.stringify(kept ?? {}));
    },
    keepOffer: ({ root }, offer) => writeFile(join(root, "offer.json"), toJsonString(OfferSchema, offer)),
    keepRunning: ({ root }, remember) => writeFile(join(root, "running.json"), JSON.stringify(remember)),
    keepFinish: ({ root }, finish) =>
      writeDurably(join(root, "finish.json"), toJsonString(FinishStepRequestSchema, finish)),
    async leftovers() {
      const left = await Promise.all((await readdir(attemptsDir)).map((name) => readAttempt(workDir, name)));
      return left.filter((attempt) => attempt !== undefined);
    },
  };
}

async function readSession(file: string): Promise<RememberedSession | undefined> {
  const { sessionId, resumeKey } = parseJson(await readText(file));
  if (typeof sessionId !== "string" || typeof resumeKey !== "string") return undefined;
  return { sessionId, resumeKey: Buffer.from(resumeKey, "base64") };
}

async function readAttempt(workDir: string, name: string): Promise<LeftAttempt | undefined> {
  let folders: Folders;
  try {
    folders = foldersOf(workDir, name);
  } catch {
    return undefined;
  }
  const [offer, running, finish] = await Promise.all(
    ["offer.json", "running.json", "finish.json"].map((file) => readText(join(folders.root, file))),
  );
  return {
    leaseId: name,
    folders,
    offer: decode(offer, (text) => fromJsonString(OfferSchema, text)),
    remembered: parseJson(running),
    finish: decode(finish, (text) => fromJsonString(FinishStepRequestSchema, text)),
  };
}

async function readText(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").catch(() => undefined);
}

// A file that was cut off by the crash counts as not there.
function decode<T>(text: string | undefined, read: (text: string) => T): T | undefined {
  try {
    return text === undefined ? undefined : read(text);
  } catch {
    return undefined;
  }
}

function parseJson(text: string | undefined): Record<string, unknown> {
  const value: unknown = decode(text, JSON.parse);
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
