import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  DOCKER_TURN_MS,
  findProgram,
  startDocker,
  type TestDocker,
  whyNoDocker,
} from "../../../testing/start-docker.ts";
import { startRegistry, type TestRegistry } from "../../../testing/start-registry.ts";
import { containerScene } from "../../testing/container-scene.ts";
import { workFolder } from "../../testing/start-worker.ts";

const program = findProgram("docker-registry");
const missing = whyNoDocker() ?? (program ? undefined : "not installed: docker-registry");
const TOKEN = "a-token-that-nobody-may-see";

describe.skipIf(missing !== undefined)(`images of a registry${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let engine: TestDocker;
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry(program ?? "", "ada", TOKEN);
    engine = await startDocker();
  }, DOCKER_TURN_MS);
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
  });

  const forget = async (...names: string[]) => {
    for (const name of names) await engine.docker.getImage(name).remove({ force: true });
  };

  test("by tag, by digest and not at all: progress and digest are told, what is missing is named", async () => {
    const tagged = `${registry.open}/team/tool:1`;
    // Of a layer of its own, so that it has to be brought.
    await engine.importImage("tool:local", { keep: ["bin", "etc", "tmp"] });
    const digest = await engine.pushImage(tagged, "tool:local");
    await forget(tagged, "tool:local");
    await using s = await containerScene(engine);
    const byTag = await s.run({ run: ["echo pulled"], image: tagged });
    expect(byTag.text).toBe("pulled\n");
    expect(byTag.prepare).toMatch(/^pulling .*\npulled 1 of 1 layers, .* MB in \d+ ms\nimage .* is sha256:/);
    expect(byTag.prepare).toContain(digest);
    expect((await s.run({ run: ["true"], image: tagged })).prepare).toBe(`image ${tagged} is ${digest}\n`);
    const byDigest = await s.run({ run: ["echo pinned"], image: `${registry.open}/team/tool@${digest}` });
    expect(byDigest.text).toBe("pinned\n");
    const gone = { case: "broken", value: { reason: "IMAGE_NOT_FOUND", authorFault: true } };
    expect((await s.run({ run: ["true"], image: `${registry.open}/team/tool:2` })).finish.end).toMatchObject(gone);
    const other = `${registry.open}/team/tool@sha256:${"0".repeat(64)}`;
    expect((await s.run({ run: ["true"], image: other })).finish.end).toMatchObject(gone);
  });

  test("a tag that was moved is noticed where that is asked for", async () => {
    const moved = `${registry.open}/moved:latest`;
    await engine.pushImage(moved);
    await using missingOnly = await containerScene(engine);
    await using always = await containerScene(engine, { RITMO_IMAGE_PULL: "always" });
    const before = (await always.run({ run: ["true"], image: moved })).prepare;
    await engine.importImage("changed:local", { changes: ["ENV CHANGED=yes"] });
    const digest = await engine.pushImage(moved, "changed:local");
    // This engine has the new one under the tag by now: put the old one back.
    await engine.docker.getImage(engine.image).tag({ repo: `${registry.open}/moved`, tag: "latest" });
    const run = ["echo changed: $CHANGED"];
    expect((await missingOnly.run({ run, image: moved })).text).toBe("changed:\n");
    const after = await always.run({ run, image: moved });
    expect(after.text).toBe("changed: yes\n");
    expect(before).not.toContain(digest);
    expect(after.prepare).toContain(digest);
  });

  test("credentials go to exactly their host, are shown in no log, and their file must be the worker's own", async () => {
    using folder = workFolder();
    const open = `${registry.open}/secret/tool:1`;
    await engine.pushImage(open);
    const guarded = `${registry.guarded}/secret/tool:1`;
    const file = join(folder.path, "credentials");
    writeFileSync(file, `# ours\n${registry.guarded} ada ${TOKEN}\n`, { mode: 0o600 });
    await using without = await containerScene(engine);
    const refused = await without.run({ run: ["true"], image: guarded });
    expect(refused.finish.end).toMatchObject({ value: { reason: "REGISTRY_REFUSED", authorFault: false } });
    await using s = await containerScene(engine, { RITMO_REGISTRY_CREDENTIALS: file });
    const pulled = await s.run({ run: ["env; echo mine"], image: guarded });
    expect(pulled.text).toMatch(/mine\n$/);
    expect(pulled.prepare).toContain(`pulling ${guarded} as ada\n`);
    expect(pulled.text + pulled.prepare + refused.prepare).not.toContain(TOKEN);
    // The same registry under a name that only looks like it is another host.
    await forget(guarded);
    registry.shown.clear();
    const alike = guarded.replace("127.0.0.1", "localhost");
    expect((await s.run({ run: ["true"], image: alike })).finish.end).toMatchObject({
      value: { reason: "REGISTRY_REFUSED" },
    });
    expect([...registry.shown]).toEqual([""]);
    chmodSync(file, 0o644);
    const open644 = await s.run({ run: ["true"], image: guarded });
    expect(open644.finish.end).toMatchObject({ value: { reason: "REGISTRY_CREDENTIALS_UNUSABLE" } });
    expect(open644.prepare).toContain(`chmod 600 ${file}`);
  });
});
