import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { workFolder } from "../testing/start-worker.ts";
import { placeFile } from "./place-file.ts";

function scene() {
  const folder = workFolder();
  const workspace = join(folder.path, "workspace");
  mkdirSync(workspace);
  writeFileSync(join(folder.path, "file"), "new");
  return { ...folder, workspace, file: join(folder.path, "file") };
}

test("a file goes where its path says, over what is there, and over a link without following it", async () => {
  using s = scene();
  await placeFile(s.file, s.workspace, "a/b/c.txt");
  expect(readFileSync(join(s.workspace, "a/b/c.txt"), "utf8")).toBe("new");
  writeFileSync(s.file, "newer");
  writeFileSync(join(s.path, "outside"), "untouched");
  symlinkSync(join(s.path, "outside"), join(s.workspace, "link"));
  await placeFile(s.file, s.workspace, "link");
  expect(readFileSync(join(s.workspace, "link"), "utf8")).toBe("newer");
  expect(readFileSync(join(s.path, "outside"), "utf8")).toBe("untouched");
});

test.each(["../x", "/x", "a/../../x", "a//b", "./a", "", "a/", "a\\..\\b", "a\0b", ".."])(
  "%j is refused",
  async (path) => {
    using s = scene();
    await expect(placeFile(s.file, s.workspace, path)).rejects.toThrow(/not a relative path/);
    expect(readFileSync(s.file, "utf8")).toBe("new");
  },
);

test("a link on the way leads nowhere", async () => {
  using s = scene();
  mkdirSync(join(s.path, "elsewhere"));
  symlinkSync(join(s.path, "elsewhere"), join(s.workspace, "dist"));
  await expect(placeFile(s.file, s.workspace, "dist/x")).rejects.toThrow(/not a folder/);
  expect(existsSync(join(s.path, "elsewhere/x"))).toBe(false);
});
