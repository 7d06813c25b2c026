import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { openTestPort } from "../../testing/edge-ports.ts";

test("the page can be read by anybody, and runs nothing but its own script", async () => {
  await using port = await openTestPort();
  const response = await fetch(port.url);
  const html = await response.text();
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  const policy = response.headers.get("content-security-policy") ?? "";
  const script = /<script>([\s\S]*)<\/script>/.exec(html)?.[1] ?? "";
  expect(policy).toContain(`script-src 'sha256-${createHash("sha256").update(script).digest("base64")}'`);
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
  expect(html).not.toMatch(/ on\w+=|style=|src=|href=/);
  const head = await fetch(port.url, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  expect(head.headers.get("content-length")).toBe(`${Buffer.byteLength(html)}`);
});

test("it has no other verb and no other address", async () => {
  await using port = await openTestPort();
  expect((await fetch(port.url, { method: "POST", body: "x" })).status).toBe(405);
  for (const path of ["/index.html", "/web/index.html", "/..%2fpackage.json", "/metrics", "/healthz", "/debug"]) {
    const response = await fetch(`${port.url}${path}`);
    expect([path, response.status, await response.json()]).toEqual([
      path,
      404,
      expect.objectContaining({ code: "unimplemented" }),
    ]);
  }
});

test("every answer carries the headers that browsers heed, and none that tells what runs here", async () => {
  await using port = await openTestPort();
  const who = `${port.url}/ritmo.identity.v1.IdentityService/WhoAmI`;
  const answers = [
    await fetch(port.url),
    await fetch(`${port.url}/nothing`),
    await fetch(who),
    await fetch(who, { method: "POST" }),
  ];
  for (const { headers } of answers) {
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("access-control-allow-origin")).toBeNull();
    expect(headers.get("server")).toBeNull();
    expect(headers.get("x-powered-by")).toBeNull();
  }
});

test("more handlers are asked before the page, and may decline", async () => {
  await using port = await openTestPort({
    handlers: [
      (request, response) => {
        if (request.url !== "/download/x") return false;
        response.end("bytes");
        return true;
      },
    ],
  });
  expect(await (await fetch(`${port.url}/download/x`)).text()).toBe("bytes");
  expect((await fetch(`${port.url}/download/y`)).status).toBe(404);
  expect((await fetch(port.url)).status).toBe(200);
});

test("a handler that throws is a refusal, not the end of the process", async () => {
  await using port = await openTestPort({
    handlers: [
      () => {
        throw new Error("broken");
      },
    ],
  });
  const response = await fetch(`${port.url}/anything`);
  expect([response.status, await response.text()]).toEqual([400, expect.not.stringContaining("broken")]);
});
