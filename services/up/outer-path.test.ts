import { delimiter } from "node:path";
import { expect, test } from "vitest";
import { outerPath } from "./outer-path.ts";

const path = (...entries: string[]) => entries.join(delimiter);

test("what npm puts in front for a script is taken off, and nothing else", () => {
  const typed = ["/home/ada/bin", "/usr/bin", "/srv/ritmo/node_modules/.bin"];
  const npm = [
    "/srv/ritmo/node_modules/.bin",
    "/srv/ritmo/node_modules/.bin",
    "/srv/node_modules/.bin",
    "/node_modules/.bin",
    "/usr/lib/node_modules/npm/node_modules/@npmcli/run-script/lib/node-gyp-bin",
  ];
  expect(outerPath(path(...npm, ...typed), "/srv/ritmo")).toBe(path(...typed));
  expect(outerPath(path(...typed), "/srv/ritmo")).toBe(path(...typed));
  expect(outerPath(path("/other/node_modules/.bin", ...typed), "/srv/ritmo")).toBe(
    path("/other/node_modules/.bin", ...typed),
  );
  expect(outerPath(path(...npm), "/srv/ritmo")).toBe("");
  expect(outerPath("", "/srv/ritmo")).toBe("");
});
