import { randomUUID } from "node:crypto";
import { create, toJsonString } from "@bufbuild/protobuf";
import {
  type CreateTokenRequest,
  CreateTokenRequestSchema,
  CreateTokenResponseSchema,
  Scope,
} from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { expect, test } from "vitest";
import { freshDatabase } from "../../testing/fresh-database.ts";
import type { Db, Sql } from "../store/open-database.ts";
import { once } from "./once.ts";

const caller = { orgId: "org_default", tokenId: "tok_1" };
const ask = (requestId: string, name = "a") => create(CreateTokenRequestSchema, { requestId, name, scope: Scope.READ });

/** An effect that can be counted: a row of organizations. */
async function effect(tx: Sql, name: string) {
  const [row] = await tx<{ id: string }[]>`
    INSERT INTO organizations (id, name) VALUES (gen_random_uuid()::text, gen_random_uuid()::text) RETURNING id`;
  return { token: { id: row?.id ?? "", name }, value: "secret" };
}

function run(db: Db, request: CreateTokenRequest, as = caller) {
  return once(db, as, "CreateToken", request, CreateTokenResponseSchema, (tx) => effect(tx, request.name));
}

async function effects(db: Db): Promise<number> {
  const [row] = await db.sql<{ count: number }[]>`SELECT count(*)::int - 1 AS count FROM organizations`;
  return row?.count ?? -1;
}

test("fifty at once have one effect and fifty equal answers", async () => {
  await using fresh = await freshDatabase();
  const request = ask(randomUUID());
  const answers = await Promise.all(Array.from({ length: 50 }, () => run(fresh.db, request)));
  expect(new Set(answers.map((answer) => toJsonString(CreateTokenResponseSchema, answer))).size).toBe(1);
  expect(await effects(fresh.db)).toBe(1);
});

test("another request under the same id is refused, and has no effect", async () => {
  await using fresh = await freshDatabase();
  const id = randomUUID();
  await run(fresh.db, ask(id, "a"));
  await expect(run(fresh.db, ask(id, "b"))).rejects.toMatchObject({
    code: "already_exists",
    reason: "REQUEST_ID_REUSED",
  });
  await run(fresh.db, ask(id.toUpperCase(), "a"));
  expect(await effects(fresh.db)).toBe(1);
});

test("another caller, organization or method may use the same id", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  await db.sql`INSERT INTO organizations (id, name) VALUES ('org_other', 'other')`;
  const request = ask(randomUUID());
  await run(db, request);
  await run(db, request, { ...caller, tokenId: "tok_2" });
  await run(db, request, { ...caller, orgId: "org_other" });
  await once(db, caller, "Other", request, CreateTokenResponseSchema, (tx) => effect(tx, "a"));
  expect(await effects(db)).toBe(5);
});

test("what failed is forgotten and can be tried again", async () => {
  await using fresh = await freshDatabase();
  const request = ask(randomUUID());
  const failing = once(fresh.db, caller, "CreateToken", request, CreateTokenResponseSchema, async (tx) => {
    await effect(tx, "x");
    throw new Error("not now");
  });
  await expect(failing).rejects.toThrow("not now");
  expect(await effects(fresh.db)).toBe(0);
  expect((await run(fresh.db, request)).token?.name).toBe("a");
  expect(await effects(fresh.db)).toBe(1);
});

test("while the first is under way the second waits, and runs when the first is rolled back", async () => {
  await using fresh = await freshDatabase();
  const request = ask(randomUUID());
  let fail = (_: Error) => {};
  let begun = () => {};
  const underWay = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const first = once(fresh.db, caller, "CreateToken", request, CreateTokenResponseSchema, () => {
    begun();
    return new Promise((_, reject) => {
      fail = reject;
    });
  });
  await underWay;
  const second = run(fresh.db, request);
  fail(new Error("rolled back"));
  await expect(first).rejects.toThrow("rolled back");
  expect((await second).token?.name).toBe("a");
  expect(await effects(fresh.db)).toBe(1);
});

test("what shall not be remembered is answered once and stored nowhere", async () => {
  await using fresh = await freshDatabase();
  const request = ask(randomUUID());
  const call = () =>
    once(fresh.db, caller, "CreateToken", request, CreateTokenResponseSchema, (tx) => effect(tx, "a"), {
      remember: ({ token }) => (token ? { token } : {}),
    });
  const first = await call();
  const second = await call();
  expect([first.value, second.value]).toEqual(["secret", ""]);
  expect(second.token).toEqual(first.token);
  const [row] = await fresh.db.sql<{ response: Buffer }[]>`SELECT response FROM requests`;
  expect(row?.response.includes("secret")).toBe(false);
});

test.each([
  ["none", ""],
  ["a number", "1"],
  ["ten kilobytes", "a".repeat(10_000)],
  ["braces", `{${randomUUID()}}`],
  ["a NUL", `${randomUUID().slice(0, -1)}\0`],
])("a request_id that is no UUID is refused by its field: %s", async (_, requestId) => {
  await using fresh = await freshDatabase();
  const refused = run(fresh.db, ask(requestId));
  await expect(refused).rejects.toMatchObject({
    code: "invalid_argument",
    details: { violations: [{ field: "request_id" }] },
  });
  expect(await effects(fresh.db)).toBe(0);
});
