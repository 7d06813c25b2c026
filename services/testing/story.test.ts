import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildService, BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { expect, test } from "vitest";
import { freshDatabase } from "./fresh-database.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";

// The story that docs/life-of-a-build.md tells, on real processes, a real PostgreSQL and a real git repository: one
// commit that fails and one that passes.

const PIPELINE = `version: 1
steps:
  compile:
    run:
      - mkdir -p out
      - printf 'made of %s' "$(cat source.txt)" > out/program
      - chmod 750 out/program
    artifacts: ["out/**"]
  test:
    needs: [compile]
    inputs: [{ artifacts: compile }]
    run:
      - cat out/program && printf '\\n\\000\\377 not text\\n'
      - test "$(cat source.txt)" = good || exit 7
  ship:
    needs: [test]
    run: echo shipped
`;

const AUTHOR = ["-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.com"];

function commit(folder: string, source: string, message: string): string {
  writeFileSync(join(folder, "source.txt"), source);
  execFileSync("git", ["-C", folder, "add", "."]);
  execFileSync("git", ["-C", folder, ...AUTHOR, "commit", "-qm", message]);
  return execFileSync("git", ["-C", folder, "rev-parse", "HEAD"], { encoding: "utf8" }).trim();
}

function makeRepository(ritmo: Ritmo): string {
  const folder = join(ritmo.folder, "repository");
  mkdirSync(folder);
  execFileSync("git", ["init", "-q", "-b", "main", folder]);
  writeFileSync(join(folder, ".ritmo.yaml"), PIPELINE);
  return folder;
}

async function readLog(ritmo: Ritmo, name: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const message of ritmo.client(LogService).followLog({ name })) parts.push(message.data);
  return Buffer.concat(parts);
}

test("a commit that fails is red at the right step with the right code, and one that passes brings its artifact", async () => {
  await using fresh = await freshDatabase();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db });
  await ritmo.startWorker("w1");
  const folder = makeRepository(ritmo);
  const bad = commit(folder, "bad", "Break it\n\nOn purpose.");
  await ritmo.createJob("story", `file://${folder}`);

  const red = await ritmo.untilOver(await ritmo.run("story", "main"));
  expect(red).toMatchObject({
    name: "story#1",
    state: BuildState.FAILURE,
    reason: "STEP_FAILED",
    cause: "test: It exited with 7 in entry 2 of 2 of `run`.",
    commit: bad,
    authorName: "Ada Lovelace",
    authorEmail: "ada@example.com",
  });
  expect(red.message.trim()).toBe("Break it\n\nOn purpose.");
  const { steps } = await ritmo.client(BuildService).listSteps({ build: red.name });
  expect(steps.map((step) => [step.key, step.state, step.exitCode])).toEqual([
    ["compile", StepState.SUCCESS, 0],
    ["test", StepState.FAILURE, 7],
    ["ship", StepState.SKIP, undefined],
  ]);
  const log = await readLog(ritmo, "story#1/test");
  expect(log).toEqual(Buffer.from("made of bad\n\0\xff not text\n", "latin1"));

  const good = commit(folder, "good", "Mend it");
  const green = await ritmo.untilOver(await ritmo.run("story", "main"));
  expect(green).toMatchObject({ state: BuildState.SUCCESS, commit: good, cause: "" });
  expect(await readLog(ritmo, "story#2/ship")).toEqual(Buffer.from("shipped\n"));
  const { artifacts } = await ritmo.client(ArtifactService).listArtifacts({ build: green.name });
  const content = Buffer.from("made of good");
  expect(artifacts.map(({ path, step, mode, sizeBytes, sha256 }) => ({ path, step, mode, sizeBytes, sha256 }))).toEqual(
    [
      {
        path: "out/program",
        step: "compile",
        mode: 0o750,
        sizeBytes: BigInt(content.length),
        sha256: createHash("sha256").update(content).digest("hex"),
      },
    ],
  );
  const bytes: Uint8Array[] = [];
  const id = artifacts[0]?.id ?? "";
  for await (const part of ritmo.client(ArtifactService).downloadArtifact({ id })) bytes.push(part.data);
  expect(Buffer.concat(bytes)).toEqual(content);
});
