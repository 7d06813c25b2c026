import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { describe, expect, test } from "vitest";
import { freshDatabase } from "./fresh-database.ts";
import { DOCKER_TURN_MS, startDocker, whyNoDocker } from "./start-docker.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";

const missing = whyNoDocker();
const PAGE = readFileSync(join(import.meta.dirname, "../../docs/containers.md"), "utf8");

function makeRepository({ folder: parent }: Ritmo): string {
  const folder = join(parent, "repository");
  mkdirSync(folder);
  const git = (...args: string[]) => execFileSync("git", ["-C", folder, ...args]);
  git("init", "-q", "-b", "main");
  writeFileSync(join(folder, ".ritmo.yaml"), /```yaml\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? "");
  writeFileSync(join(folder, "source.txt"), "good");
  git("add", ".");
  git("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-qm", "In containers");
  return folder;
}

async function readLog(ritmo: Ritmo, name: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const message of ritmo.client(LogService).followLog({ name })) parts.push(message.data);
  return Buffer.concat(parts).toString();
}

describe.skipIf(missing !== undefined)(`a build in containers${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test(
    "the example of docs/containers.md is green: checkout, artifacts and inputs pass through containers",
    async () => {
      await using engine = await startDocker();
      await using fresh = await freshDatabase();
      await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db });
      await ritmo.startWorker("w1", { DOCKER_HOST: engine.host });
      await ritmo.createJob("contained", `file://${makeRepository(ritmo)}`);
      const build = await ritmo.untilOver(await ritmo.run("contained", "main"));
      expect(build).toMatchObject({ state: BuildState.SUCCESS, cause: "" });
      expect(await readLog(ritmo, "contained#1/test")).toBe("made of good");
      const { artifacts } = await ritmo.client(ArtifactService).listArtifacts({ build: build.name });
      expect(artifacts.map(({ path }) => path)).toEqual(["out/program"]);
      await expect.poll(() => engine.made(), { timeout: 10_000 }).toEqual([]);
    },
    DOCKER_TURN_MS,
  );
});
