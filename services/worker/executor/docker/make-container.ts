import { join } from "node:path";
import type { ImageInfo } from "dockerode";
import type { Work } from "../executor.ts";
import { containerOptions, mountsOf } from "./container-options.ts";
import { type Container, callEngine, type Engine } from "./engine.ts";
import { type Entry, LABEL, type Ledger } from "./ledger.ts";
import { ownFolders, userOf } from "./own-folders.ts";
import { type Commands, writeCommands } from "./write-commands.ts";

export interface MakeParts {
  engine: Engine;
  ledger: Ledger;
  workDir: string;
}

// Making one may have to wait for the disk.
const CREATE_WITHIN_MS = 60_000;

/** Makes the network and the container of an attempt; what is made stands in the ledger first. */
export async function makeContainer(
  { engine, ledger, workDir }: MakeParts,
  work: Work,
  image: ImageInfo,
  entry: Entry,
): Promise<{ container: Container; commands: Commands }> {
  const { docker } = engine;
  const { signal } = work;
  const labels = labelsOf(ledger, work, entry);
  const stepFolder = join(work.folders.root, "step");
  const [network, commands, mounts] = await Promise.all([
    callEngine(
      "create network",
      (abortSignal) => docker.createNetwork({ Name: entry.name, Driver: "bridge", Labels: labels, abortSignal }),
      { signal },
    ),
    writeCommands(stepFolder, entry.nonce, work.shell, work.run),
    mountsOf(work, stepFolder, workDir),
  ]);
  entry.networkId = network.id;
  const user = userOf(engine, image.Config?.User ?? "");
  const names = { name: entry.name, labels, network: network.id, imageId: image.Id, user };
  const options = containerOptions(engine, work, names, commands, mounts);
  const create = (abortSignal: AbortSignal) => docker.createContainer({ ...options, abortSignal });
  const container = await callEngine("create container", create, { withinMs: CREATE_WITHIN_MS, signal });
  entry.containerId = container.id;
  await Promise.all([ledger.keep(entry), ownFolders(container, user, work.folders)]);
  return { container, commands };
}

function labelsOf(ledger: Ledger, work: Work, { nonce, leaseId }: Entry): Record<string, string> {
  return {
    [LABEL.ledger]: ledger.folder,
    [LABEL.lease]: leaseId,
    [LABEL.attempt]: work.attemptId,
    [LABEL.nonce]: nonce,
  };
}
