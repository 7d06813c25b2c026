import { expect, test } from "vitest";
import { openMetricsServer } from "./metrics-server.ts";

async function open(
  parts: Record<string, string | undefined> = {},
  metrics = async () => ({ text: "a 1\n", contentType: "text/plain" }),
) {
  const server = await openMetricsServer({ listen: { host: "127.0.0.1", port: 0 }, metrics, readiness: () => parts });
  const get = async (path: string, method = "GET") => {
    const response = await fetch(`http://${server.address}${path}`, { method });
    return [response.status, await response.text()] as const;
  };
  return { ...server, get, [Symbol.asyncDispose]: () => server.stop() };
}

test("metrics, health and readiness have an address each", async () => {
  await using server = await open({ database: undefined });
  expect(await server.get("/metrics")).toEqual([200, "a 1\n"]);
  expect(await server.get("/healthz")).toEqual([200, "ok\n"]);
  expect(await server.get("/readyz?verbose=1")).toEqual([200, '{"ready":true,"parts":{"database":"ok"}}\n']);
  expect((await server.get("/other"))[0]).toBe(404);
  expect((await server.get("/metrics", "POST"))[0]).toBe(405);
});

test("readiness names what is not ready; health stays", async () => {
  await using server = await open({ database: "connection refused", store: undefined });
  const [status, body] = await server.get("/readyz");
  expect([status, JSON.parse(body)]).toEqual([
    503,
    { ready: false, parts: { database: "connection refused", store: "ok" } },
  ]);
  expect((await server.get("/healthz"))[0]).toBe(200);
});

test("what can't be read is not the end of the server", async () => {
  await using server = await open({}, () => Promise.reject(new Error("secret")));
  expect(await server.get("/metrics")).toEqual([503, "not available\n"]);
  expect((await server.get("/healthz"))[0]).toBe(200);
});

test("a taken address is one line", async () => {
  await using server = await open();
  const again = openMetricsServer({
    listen: { host: "127.0.0.1", port: server.port },
    metrics: async () => ({ text: "", contentType: "" }),
    readiness: () => ({}),
  });
  await expect(again).rejects.toThrow(/^can't serve metrics at 127\.0\.0\.1:\d+: .*EADDRINUSE/);
});
