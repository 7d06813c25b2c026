import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What this worker made on an engine for one attempt. Only what stands here is ever touched. */
export interface Entry {
  leaseId: string;
  /** The engine's own id; another engine has nothing of ours. */
  engineId: string;
  /** In a label of what is made: a label that somebody else set does not have it. */
  nonce: string;
  name: string;
  containerId?: string;
  networkId?: string;
}

export interface Ledger {
  readonly folder: string;
  /** On disk before anything is made, so that a crash in between leaves nothing unknown. */
  open(leaseId: string, engineId: string): Promise<Entry>;
  keep(entry: Entry): Promise<void>;
  close(entry: Entry): Promise<void>;
  all(): Promise<Entry[]>;
}

/** Where a worker's ledger is in its work folder. */
export function ledgerFolder(workDir: string): string {
  return join(workDir, "containers");
}

export async function openLedger(workDir: string): Promise<Ledger> {
  const folder = ledgerFolder(workDir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const fileOf = ({ leaseId }: Entry) => join(folder, `${leaseId}.json`);
  const keep = async (entry: Entry) => {
    const file = fileOf(entry);
    await writeFile(`${file}.new`, JSON.stringify(entry), { mode: 0o600 });
    await rename(`${file}.new`, file);
  };
  return {
    folder,
    async open(leaseId, engineId) {
      const entry = { leaseId, engineId, nonce: randomBytes(16).toString("hex"), name: `ritmo-${leaseId}` };
      await keep(entry);
      return entry;
    },
    keep,
    close: (entry) => rm(fileOf(entry), { force: true }),
    all: () => readLedger(folder),
  };
}

/** What stands in a ledger, be it that of another worker. */
export async function readLedger(folder: string): Promise<Entry[]> {
  const names = await readdir(folder).catch(() => []);
  const read = names.filter((name) => name.endsWith(".json")).map((name) => readEntry(join(folder, name)));
  return (await Promise.all(read)).filter((entry) => entry !== undefined);
}

async function readEntry(file: string): Promise<Entry | undefined> {
  try {
    const entry = JSON.parse(await readFile(file, "utf8")) as Entry;
    return typeof entry.nonce === "string" && typeof entry.name === "string" ? entry : undefined;
  } catch {
    return undefined;
  }
}

// The words that our containers and networks carry.
export const LABEL = { ledger: "ritmo.ledger", lease: "ritmo.lease", attempt: "ritmo.attempt", nonce: "ritmo.nonce" };
