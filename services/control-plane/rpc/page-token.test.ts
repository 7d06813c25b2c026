import { afterAll, beforeAll, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { pageSize } from "./page-size.ts";
import { type ListOf, openPageTokens, type PageTokens } from "./page-token.ts";

let fresh: FreshDatabase;
let pages: PageTokens;
const builds: ListOf = { orgId: "org_default", list: "builds", filters: { states: ["failure"], branch: "" } };

beforeAll(async () => {
  fresh = await freshDatabase();
  pages = openPageTokens(fresh.db);
});
afterAll(() => fresh[Symbol.asyncDispose]());

test("a token comes back as the position it was made of, on any replica", async () => {
  const token = await pages.write(builds, ["bld_x", 7]);
  expect(await pages.read(builds, token)).toEqual(["bld_x", 7]);
  expect(await openPageTokens(fresh.db).read(builds, token)).toEqual(["bld_x", 7]);
  expect(await pages.read(builds, "")).toBeUndefined();
});

test.each<[string, ListOf]>([
  ["another list", { ...builds, list: "jobs" }],
  ["other filters", { ...builds, filters: { states: ["failure"], branch: "main" } }],
  ["another organization", { ...builds, orgId: "org_other" }],
])("a token of %s is refused", async (_, other) => {
  const token = await pages.write(other, ["x"]);
  await expect(pages.read(builds, token)).rejects.toMatchObject({
    code: "invalid_argument",
    reason: "PAGE_TOKEN_INVALID",
  });
});

test("a token that was changed, cut or made up is refused", async () => {
  const token = await pages.write(builds, ["bld_x"]);
  const flipped = Buffer.from(token, "base64url");
  flipped[flipped.length - 2] = (flipped.at(-2) as number) ^ 1;
  for (const bad of [flipped.toString("base64url"), token.slice(0, 12), "x", "\0", "\ud800", "a".repeat(1 << 20)])
    await expect(pages.read(builds, bad)).rejects.toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
});

test("a page's size has a default and a maximum", () => {
  expect(pageSize(0, { fallback: 50, max: 500 })).toBe(50);
  expect(pageSize(500, { fallback: 50, max: 500 })).toBe(500);
  expect(() => pageSize(501, { fallback: 50, max: 500 })).toThrow(/at most 500/);
});
