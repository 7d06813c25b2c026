import { randomUUID } from "node:crypto";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { IdentityService, Scope } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { expect, test, vi } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { openWebServer } from "../edge/web-server.ts";
import { identityService } from "../rpc/identity-service.ts";
import type { Db } from "../store/open-database.ts";
import { userLookup } from "./authenticate-user.ts";
import { createToken } from "./create-token.ts";
import { makeSetupCode } from "./make-setup-code.ts";

const logger = openLogger("test", "silent");

async function openIdentity({ rememberMs = 0, log = logger } = {}) {
  const fresh = await freshDatabase();
  const { db } = fresh;
  const server = await openWebServer({
    listen: { host: "127.0.0.1", port: 0 },
    lookup: userLookup({ db, logger: log }, rememberMs),
    logger: log,
    routes: (router) => router.service(IdentityService, identityService({ db, url: "https://ritmo.example" })),
  });
  const as = (token?: string): Client<typeof IdentityService> =>
    createClient(
      IdentityService,
      createConnectTransport({
        baseUrl: `http://${server.address}`,
        httpVersion: "1.1",
        interceptors: [
          (next) => (request) => {
            if (token) request.header.set("authorization", `Bearer ${token}`);
            return next(request);
          },
        ],
      }),
    );
  return {
    db,
    as,
    async [Symbol.asyncDispose]() {
      await server.stop(100);
      await fresh[Symbol.asyncDispose]();
    },
  };
}

async function adminOf(db: Db): Promise<string> {
  return (await createToken(db.sql, "org_default", { name: "admin", scope: "admin" })).value;
}

const failure = (call: Promise<unknown>) =>
  call.then(() => expect.unreachable("it was let through"), ConnectError.from);

test("a token is made, listed without its value, used, and revoked at once", async () => {
  await using at = await openIdentity();
  const admin = at.as(await adminOf(at.db));
  const made = await admin.createToken({ requestId: randomUUID(), name: "ci", scope: Scope.READ });
  expect(made.value).toMatch(/^rt_[\w-]{43}$/);
  const ci = at.as(made.value);
  const who = await ci.whoAmI({});
  expect([who.token?.name, who.token?.scope, who.organization, who.version, who.url]).toEqual([
    "ci",
    Scope.READ,
    "default",
    expect.stringMatching(/^\d/),
    "https://ritmo.example",
  ]);
  const { tokens } = await admin.listTokens({});
  expect(tokens.map((token) => token.name)).toEqual(["ci", "admin"]);
  await vi.waitFor(async () => expect((await admin.listTokens({})).tokens[0]?.lastUsedAt).toBeDefined());
  expect(await failure(ci.listTokens({}))).toMatchObject({ code: Code.PermissionDenied });

  const id = made.token?.id ?? "";
  const revoked = await admin.revokeToken({ requestId: randomUUID(), id });
  expect(await failure(ci.whoAmI({}))).toMatchObject({ code: Code.Unauthenticated });
  const again = await admin.revokeToken({ requestId: randomUUID(), id });
  expect(again.token?.revokedAt).toEqual(revoked.token?.revokedAt);
});

test("no value of a token or a code is in the database or the log", async () => {
  const lines: string[] = [];
  const write = vi.spyOn(process.stderr, "write").mockImplementation((line) => lines.push(String(line)) > 0);
  await using at = await openIdentity({ log: openLogger("test", "trace") });
  const code = (await makeSetupCode(at)) ?? "";
  const { value } = await at.as().exchangeSetupCode({ code });
  const made = await at.as(value).createToken({ requestId: randomUUID(), name: "x", scope: Scope.WRITE });
  await failure(at.as(`${value.slice(0, -1)}_`).whoAmI({}));
  write.mockRestore();
  const dump = await Promise.all(
    ["tokens", "setup_codes", "requests"].map((table) => at.db.sql`SELECT t::text AS line FROM ${at.db.sql(table)} t`),
  );
  const all = JSON.stringify(dump) + lines.join("");
  for (const secret of [value, made.value, code]) {
    expect(secret.length).toBeGreaterThan(20);
    expect(all).not.toContain(secret);
    expect(all).not.toContain(Buffer.from(secret).toString("hex"));
  }
});

test("a repeated creation answers the token without its value, and makes no second one", async () => {
  await using at = await openIdentity();
  const admin = at.as(await adminOf(at.db));
  const request = { requestId: randomUUID(), name: "ci", scope: Scope.READ };
  const [first, second] = [await admin.createToken(request), await admin.createToken(request)];
  expect(second.token?.id).toBe(first.token?.id);
  expect([first.value.length > 0, second.value]).toEqual([true, ""]);
  expect((await admin.listTokens({})).tokens).toHaveLength(2);
});

test.each([
  ["no name", { name: "  " }, "name"],
  ["a long name", { name: "x".repeat(101) }, "name"],
  ["a control character", { name: "a\u0007b" }, "name"],
  ["a NUL", { name: "a\0b" }, "name"],
  ["no scope", { scope: Scope.UNSPECIFIED }, "scope"],
  ["a scope nobody has", { scope: 99 as Scope }, "scope"],
  ["an end in the past", { expiresAt: timestampFromDate(new Date(Date.now() - 60_000)) }, "expires_at"],
  ["an end beyond all time", { expiresAt: { seconds: 10n ** 18n, nanos: 0 } }, "expires_at"],
  ["no request_id", { requestId: "" }, "request_id"],
])("a creation with %s is refused by its field", async (_, fault, field) => {
  await using at = await openIdentity();
  const admin = at.as(await adminOf(at.db));
  const refused = await failure(
    admin.createToken({ requestId: randomUUID(), name: "ci", scope: Scope.READ, ...fault } as never),
  );
  expect(refused).toMatchObject({ code: Code.InvalidArgument, rawMessage: expect.stringContaining(field) });
  expect((await admin.listTokens({})).tokens).toHaveLength(1);
});

test("a token ends by itself", async () => {
  await using at = await openIdentity();
  const { value, row } = await createToken(at.db.sql, "org_default", {
    name: "short",
    scope: "read",
    expiresAt: new Date(Date.now() + 3_600_000),
  });
  expect((await at.as(value).whoAmI({})).token?.name).toBe("short");
  await at.db.sql`UPDATE tokens SET expires_at = clock_timestamp() WHERE id = ${row.id}`;
  expect(await failure(at.as(value).whoAmI({}))).toMatchObject({ code: Code.Unauthenticated });
});

test("another organization's token can be neither seen nor revoked", async () => {
  await using at = await openIdentity();
  await at.db.sql`INSERT INTO organizations (id, name) VALUES ('org_other', 'other')`;
  const admin = at.as(await adminOf(at.db));
  const other = await createToken(at.db.sql, "org_other", { name: "theirs", scope: "read" });
  expect(await failure(admin.revokeToken({ requestId: randomUUID(), id: other.row.id }))).toMatchObject({
    code: Code.NotFound,
  });
  expect((await admin.listTokens({})).tokens.map((token) => token.name)).toEqual(["admin"]);
  expect((await at.as(other.value).whoAmI({})).organization).toBe("other");
  const wrongKind = "job_0000000000000000000000000a";
  expect(await failure(admin.revokeToken({ requestId: randomUUID(), id: wrongKind }))).toMatchObject({
    code: Code.InvalidArgument,
  });
});

test("tokens come in pages, each once", async () => {
  await using at = await openIdentity();
  const admin = at.as(await adminOf(at.db));
  for (let i = 0; i < 6; i++) await createToken(at.db.sql, "org_default", { name: `t${i}`, scope: "read" });
  const names: string[] = [];
  let pageToken = "";
  do {
    const page = await admin.listTokens({ pageSize: 3, pageToken });
    names.push(...page.tokens.map((token) => token.name));
    pageToken = page.nextPageToken;
  } while (pageToken);
  expect(names.sort()).toEqual(["admin", "t0", "t1", "t2", "t3", "t4", "t5"]);
  expect(await failure(admin.listTokens({ pageToken: "bm9uZQ" }))).toMatchObject({ code: Code.InvalidArgument });
});

test("a code is made for an empty database only, and again when somebody asks for it", async () => {
  await using at = await openIdentity();
  expect(await makeSetupCode(at)).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}$/);
  await adminOf(at.db);
  expect(await makeSetupCode(at)).toBeUndefined();
  expect(await makeSetupCode(at, { alsoWithTokens: true })).toBeDefined();
});

test("a code works once, as typed by people, and ends the others", async () => {
  await using at = await openIdentity();
  const codes = [(await makeSetupCode(at)) ?? "", (await makeSetupCode(at)) ?? ""] as const;
  const { value } = await at.as().exchangeSetupCode({ code: ` ${codes[0].toLowerCase().replaceAll("-", " ")} ` });
  expect((await at.as(value).whoAmI({})).token?.scope).toBe(Scope.ADMIN);
  for (const code of codes) {
    expect(await failure(at.as().exchangeSetupCode({ code }))).toMatchObject({ code: Code.Unauthenticated });
  }
});

test("of many who exchange at once one wins", async () => {
  await using at = await openIdentity();
  const codes = [await makeSetupCode(at), await makeSetupCode(at)];
  const calls = Array.from({ length: 8 }, (_, i) => at.as().exchangeSetupCode({ code: codes[i % 2] ?? "" }));
  const results = await Promise.allSettled(calls);
  expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
  const [row] = await at.db.sql`SELECT count(*)::int AS count FROM tokens`;
  expect(row?.["count"]).toBe(1);
});

test("a code that is over is refused like a wrong one", async () => {
  await using at = await openIdentity();
  const code = (await makeSetupCode(at)) ?? "";
  await at.db.sql`UPDATE setup_codes SET expires_at = clock_timestamp()`;
  const late = await failure(at.as().exchangeSetupCode({ code }));
  const wrong = await failure(at.as().exchangeSetupCode({ code: "AAAA-AAAA-AAAA-AAAA-AAAA" }));
  expect([late.code, late.rawMessage]).toEqual([wrong.code, wrong.rawMessage]);
});

test("wrong codes are limited, and a peer that waited may go on", async () => {
  await using at = await openIdentity();
  const guess = () => failure(at.as().exchangeSetupCode({ code: "WRONG" }));
  for (let i = 0; i < 10; i++) expect((await guess()).code).toBe(Code.Unauthenticated);
  expect(await guess()).toMatchObject({ code: Code.ResourceExhausted });
});
