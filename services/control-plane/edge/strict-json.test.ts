import { expect, test } from "vitest";
import { openTestPort, TOKENS } from "../../testing/edge-ports.ts";
import { envelope, request2 } from "../../testing/raw-http.ts";

const PATH = "/ritmo.identity.v1.IdentityService/RevokeToken";
const authorization = `Bearer ${TOKENS.admin}`;

test.each([
  ["a field that is there", { id: "abc" }, 200, '"name":"3"'],
  ["none", {}, 200, '"name":"0"'],
  ["a misspelt one", { id: "abc", idd: "x" }, 400, "idd"],
  ["one that is nobody's", { x: 1 }, 400, '\\"x\\"'],
])("Connect in JSON: %s", async (_, body, status, says) => {
  await using port = await openTestPort();
  const headers = { authorization, "content-type": "application/json" };
  const answer = await fetch(`${port.url}${PATH}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  expect([answer.status, text]).toEqual([status, expect.stringContaining(says)]);
  if (status === 400) expect(JSON.parse(text)).toMatchObject({ code: "invalid_argument" });
  expect(port.reached).toHaveLength(status === 200 ? 1 : 0);
});

test("gRPC in binary: a field that is not known is skipped", async () => {
  await using port = await openTestPort();
  // Field 1, a text, and field 999, a number.
  const message = Buffer.from([0x0a, 3, 0x61, 0x62, 0x63, 0xb8, 0x3e, 1]);
  const headers = { authorization, "content-type": "application/grpc+proto", te: "trailers", ":path": PATH };
  const answer = await request2(port.url, headers, (stream) => stream.end(envelope(message)));
  expect(answer.trailers["grpc-status"]).toBe("0");
});
