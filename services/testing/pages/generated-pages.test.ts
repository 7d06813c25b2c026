import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CONTROL_PLANE_SETTINGS } from "../../control-plane/config.ts";
import { UP_SETTINGS } from "../../up/config.ts";
import { WORKER_SETTINGS } from "../../worker/config.ts";
import { GENERATED_PAGES } from "./generated-pages.ts";

const ROOT = join(import.meta.dirname, "../../..");

test.each(Object.keys(GENERATED_PAGES))("%s is what the code says (npm run docs:generate)", (path) => {
  expect(readFileSync(join(ROOT, path), "utf8")).toBe(GENERATED_PAGES[path]?.());
});

test("every setting of every part is on the page, and `ritmo up` knows each of the control plane", () => {
  const page = GENERATED_PAGES["docs/configuration.md"]?.() ?? "";
  const settings = [CONTROL_PLANE_SETTINGS, WORKER_SETTINGS, UP_SETTINGS].flatMap((table) => Object.values(table));
  expect(settings.filter(({ name }) => !page.includes(`| \`${name}\` |`))).toEqual([]);
  const up = new Set(Object.values(UP_SETTINGS).map(({ name }) => name));
  expect(Object.values(CONTROL_PLANE_SETTINGS).filter(({ name }) => !up.has(name))).toEqual([]);
});
