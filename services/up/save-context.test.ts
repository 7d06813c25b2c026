import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { saveContext } from "./save-context.ts";

let folder: string;
let env: { XDG_CONFIG_HOME: string };
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-context-"));
  env = { XDG_CONFIG_HOME: join(folder, "config") };
  path = join(env.XDG_CONFIG_HOME, "ritmo", "contexts.json");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const read = () => JSON.parse(readFileSync(path, "utf8"));
function given(contents: unknown): void {
  mkdirSync(join(env.XDG_CONFIG_HOME, "ritmo"), { recursive: true });
  writeFileSync(path, JSON.stringify(contents));
}
function dataFolder(around: string): string {
  const dataDir = join(folder, around, ".ritmo");
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(join(dataDir, "tokens.json"), "{}");
  return dataDir;
}

test("the first one is `local`, current, and for its owner alone", () => {
  const context = { server: "http://127.0.0.1:7480", token: "rt_one", dataDir: dataFolder("one") };
  expect(saveContext(env, context)).toEqual({ name: "local", current: true });
  expect(read()).toEqual({ current: "local", contexts: { local: context } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(env.XDG_CONFIG_HOME, "ritmo")).mode & 0o777).toBe(0o700);
});

test("again from the same folder: the same name, the new token", () => {
  const dataDir = dataFolder("one");
  saveContext(env, { server: "http://127.0.0.1:7480", token: "rt_one", dataDir });
  expect(saveContext(env, { server: "http://127.0.0.1:9000", token: "rt_two", dataDir }).name).toBe("local");
  expect(read().contexts).toEqual({ local: { server: "http://127.0.0.1:9000", token: "rt_two", dataDir } });
});

test("a second data folder gets a name of its own, unless the first one is gone", () => {
  const [one, two] = [dataFolder("one"), dataFolder("two")];
  saveContext(env, { server: "http://127.0.0.1:7480", token: "rt_one", dataDir: one });
  expect(saveContext(env, { server: "http://127.0.0.1:7580", token: "rt_two", dataDir: two })).toEqual({
    name: "local-two",
    current: true,
  });
  rmSync(one, { recursive: true });
  expect(saveContext(env, { server: "http://x:1", token: "rt_three", dataDir: dataFolder("three") }).name).toBe(
    "local",
  );
});

test("a context that somebody chose stays, and stays current", () => {
  const work = { server: "https://ritmo.example.com", token: "rt_work", extra: "kept" };
  given({ current: "work", contexts: { work } });
  const context = { server: "http://127.0.0.1:7480", token: "rt_one", dataDir: dataFolder("one") };
  expect(saveContext(env, context)).toEqual({ name: "local", current: false });
  expect(read()).toEqual({ current: "work", contexts: { work, local: context } });
});

test("a file that is no file of contexts is refused and left alone", () => {
  mkdirSync(join(env.XDG_CONFIG_HOME, "ritmo"), { recursive: true });
  writeFileSync(path, "{ not json");
  expect(() => saveContext(env, { server: "http://x:1", token: "t", dataDir: dataFolder("one") })).toThrow(
    "is damaged",
  );
  expect(readFileSync(path, "utf8")).toBe("{ not json");
});
