import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { ImageInfo } from "dockerode";
import { BrokenStep } from "../executor.ts";
import { callEngine, type Engine, EngineTrouble, isMissing } from "./engine.ts";
import { explainPull } from "./explain-pull.ts";
import { type ImageName, parseImageName } from "./image-name.ts";
import { pullProgress } from "./pull-progress.ts";
import { registryCredentialFor } from "./registry-credentials.ts";

export interface ImageParts {
  engine: Engine;
  credentialsFile: string | undefined;
  /** `missing`: only what is not here is pulled; `always`: a tag that was moved is noticed. */
  pull: "missing" | "always";
}

// A registry that says nothing for so long is taken for one that hangs.
const SILENT_MS = 120_000;

/**
 * Makes an image present, tells how in the log of the preparation, and answers what it is. What runs is this very
 * image, whatever its tag means by then. Throws BrokenStep, or the reason of the signal.
 */
export async function bringImage(
  { engine, credentialsFile, pull }: ImageParts,
  image: string,
  { tell, signal }: { tell(line: string): void; signal: AbortSignal },
): Promise<ImageInfo> {
  const name = parseImageName(image);
  if (!name) {
    throw new BrokenStep("IMAGE_NAME_INVALID", `${JSON.stringify(image)} is not the name of an image`, AUTHOR);
  }
  let found = await inspect(engine, image, signal);
  if (!found || (pull === "always" && !name.byDigest)) {
    const credential = registryCredentialFor(credentialsFile, name.host);
    tell(`pulling ${image}${credential ? ` as ${credential.username}` : ""}`);
    await pullImage(engine, name, { tell, signal, credential });
    found = await inspect(engine, image, signal);
  }
  if (!found) throw new BrokenStep("IMAGE_NOT_FOUND", `${image} is not there, although it was pulled`);
  tell(`image ${image} is ${digestOf(found, name)}`);
  assertRuns(engine, found, image);
  return found;
}

const AUTHOR = { authorFault: true };

async function inspect(engine: Engine, image: string, signal: AbortSignal): Promise<ImageInfo | undefined> {
  const look = (abortSignal: AbortSignal) => engine.docker.getImage(image).inspect({ abortSignal });
  try {
    return await callEngine("inspect image", look, { signal });
  } catch (reason) {
    if (isMissing(reason)) return undefined;
    throw reason;
  }
}

/** The digest under which its registry knows it; an image that came from none has only its own id. */
function digestOf({ RepoDigests, Id }: ImageInfo, { repository }: ImageName): string {
  const ofRegistry = (RepoDigests ?? []).find((one) => one.startsWith(`${repository}@`)) ?? RepoDigests?.[0];
  return ofRegistry?.split("@")[1] ?? `${Id} (its id; no registry has given it a digest)`;
}

/** An image of another architecture runs only where the kernel knows how to: binfmt_misc(5) with QEMU. */
function assertRuns(engine: Engine, { Architecture, Os }: ImageInfo, image: string): void {
  const same =
    Architecture === engine.arch || Architecture === "" || (engine.arch === "amd64" && Architecture === "386");
  const foreign = { arm64: "aarch64", amd64: "x86_64" }[Architecture] ?? Architecture;
  const emulated = existsSync(`/proc/sys/fs/binfmt_misc/qemu-${foreign}`);
  if ((same || emulated) && (Os === engine.info.OSType || Os === "")) return;
  throw new BrokenStep(
    "IMAGE_WRONG_ARCHITECTURE",
    `${image} is made for ${Os}/${Architecture}, and this worker is ${engine.info.OSType}/${engine.arch}`,
    AUTHOR,
  );
}

interface Pull {
  tell(line: string): void;
  signal: AbortSignal;
  credential: object | undefined;
}

async function pullImage(engine: Engine, name: ImageName, { tell, signal, credential }: Pull): Promise<void> {
  const silent = new AbortController();
  const alarm = setTimeout(() => silent.abort(), SILENT_MS);
  const abortSignal = AbortSignal.any([signal, silent.signal]);
  try {
    const options = { fromImage: name.repository, tag: name.version, abortSignal };
    // The engine answers when its registry has, so the bound of other calls is too short.
    const begin = () => engine.docker.createImage(credential ?? {}, options);
    const stream = await callEngine("pull", begin, { withinMs: SILENT_MS, signal });
    const progress = pullProgress(tell);
    for await (const line of createInterface({ input: stream })) {
      alarm.refresh();
      const failure = progress.heard(line);
      if (failure) throw explainPull(name, failure);
    }
    progress.done();
  } catch (reason) {
    signal.throwIfAborted();
    if (silent.signal.aborted) throw explainPull(name, "the registry says nothing: timeout");
    if (reason instanceof EngineTrouble && reason.kind === "refused") throw explainPull(name, reason.message);
    if (reason instanceof BrokenStep || reason instanceof EngineTrouble) throw reason;
    throw new EngineTrouble("gone", `the container engine broke off the pull (${(reason as Error).message})`);
  } finally {
    clearTimeout(alarm);
  }
}
