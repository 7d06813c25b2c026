import { expect, test } from "vitest";
import { PUBLIC_SERVICES } from "../../testing/edge-ports.ts";
import { allows, METHOD_SCOPES, methodName, needOf } from "./method-scopes.ts";

const STANDARD = /^grpc\./;

test("every method of every public service has its scope, and nothing else is listed", () => {
  const served = PUBLIC_SERVICES.flatMap((service) => service.methods.map(methodName));
  expect(
    Object.keys(METHOD_SCOPES)
      .filter((name) => !STANDARD.test(name))
      .sort(),
  ).toEqual(served.sort());
});

test("nothing but health, reflection and the set-up code needs no token", () => {
  const open = Object.keys(METHOD_SCOPES).filter((name) => METHOD_SCOPES[name] === "public");
  expect(open.filter((name) => !STANDARD.test(name))).toEqual(["ritmo.identity.v1.IdentityService/ExchangeSetupCode"]);
});

test("what has no side effects needs no more than read, unless it is about tokens", () => {
  const reading = PUBLIC_SERVICES.flatMap((service) => service.methods).filter((method) => method.idempotency === 1);
  const strict = reading.filter((method) => !["read", "any"].includes(needOf(method) ?? ""));
  expect(strict.map(methodName)).toEqual(["ritmo.identity.v1.IdentityService/ListTokens"]);
});

test("each scope includes the ones before it", () => {
  expect(allows("read", "read")).toBe(true);
  expect(allows("read", "write")).toBe(false);
  expect(allows("write", "admin")).toBe(false);
  expect(allows("admin", "read")).toBe(true);
  expect(allows("read", "any")).toBe(true);
});
