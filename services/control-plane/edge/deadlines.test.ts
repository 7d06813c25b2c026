import { expect, test } from "vitest";
import { capDeadline } from "./deadlines.ts";

const connect = (given?: string) => ({
  "content-type": "application/json",
  ...(given ? { "connect-timeout-ms": given } : {}),
});
const grpc = (given?: string) => ({ "content-type": "application/grpc", ...(given ? { "grpc-timeout": given } : {}) });

test.each([
  ["none", connect(), "30000"],
  ["shorter", connect("200"), "200"],
  ["longer", connect("9999999999"), "30000"],
  ["no number, which the protocol answers", connect("soon"), "soon"],
])("Connect, unary: %s", (_, headers: Record<string, string>, becomes) => {
  capDeadline(headers, 30_000);
  expect(headers["connect-timeout-ms"]).toBe(becomes);
});

test.each([
  ["none", grpc(), "30000m"],
  ["shorter", grpc("5S"), "5S"],
  ["nanoseconds", grpc("1n"), "1n"],
  ["a thousand years", grpc("9999999H"), "30000m"],
  ["nine digits, which the protocol answers", grpc("999999999H"), "999999999H"],
  ["negative", grpc("-1S"), "-1S"],
])("gRPC, unary: %s", (_, headers: Record<string, string>, becomes) => {
  capDeadline(headers, 30_000);
  expect(headers["grpc-timeout"]).toBe(becomes);
});

test("a stream keeps its caller's deadline, as long as a timer can run", () => {
  const [none, hour, ages] = [grpc(), grpc("1H"), grpc("9999999H")] as Record<string, string>[];
  for (const headers of [none, hour, ages]) capDeadline(headers ?? {}, undefined);
  expect(none).not.toHaveProperty("grpc-timeout");
  expect(hour).toHaveProperty("grpc-timeout", "1H");
  expect(ages).not.toHaveProperty("grpc-timeout");
});
