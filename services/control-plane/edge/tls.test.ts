import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { Health } from "@ritmo/contract/grpc/health/v1/health_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { afterAll, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { openTestPort, TOKENS } from "../../testing/edge-ports.ts";
import { makeAuthority } from "../../testing/make-certificate.ts";
import { post, talk } from "../../testing/raw-http.ts";
import { addStandardServices } from "./standard-services.ts";
import { openWorkerServer } from "./worker-server.ts";

const folder = mkdtempSync(join(tmpdir(), "ritmo-tls-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ours = makeAuthority("ours");
const theirs = makeAuthority("theirs");
const server = ours.issue("server");
const paths = { certPath: keep("cert", server.cert), keyPath: keep("key", server.key) };
const headers = { authorization: `Bearer ${TOKENS.read}` };

test("the public port speaks HTTP/1.1 and HTTP/2 over TLS", async () => {
  await using port = await openTestPort({ tls: paths });
  const nodeOptions = { ca: ours.cert };
  for (const transport of [
    createConnectTransport({ baseUrl: port.url, httpVersion: "1.1", nodeOptions }),
    createConnectTransport({ baseUrl: port.url, httpVersion: "2", nodeOptions }),
    createGrpcTransport({ baseUrl: port.url, nodeOptions }),
  ]) {
    expect((await createClient(IdentityService, transport).whoAmI({}, { headers })).organization).toBe("org_default");
    await expect(createClient(IdentityService, transport).whoAmI({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
  }
  const given = await new Promise<string | undefined>((resolve, reject) => {
    const request = https.get(port.url, { ca: ours.cert }, (response) => {
      response.resume();
      resolve(response.headers["strict-transport-security"]);
    });
    request.once("error", reject);
  });
  expect(given).toMatch(/^max-age=/);
});

test("plain text and old versions end at the TLS port, which goes on", async () => {
  await using port = await openTestPort({ tls: paths });
  expect(await post(port.port, "/", {}).catch(() => "")).not.toContain("HTTP/1.1 200");
  expect(
    await talk(port.port, (socket) => void socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).catch(() => ""),
  ).not.toContain("HTTP");
  const old = new Promise((resolve, reject) => {
    const options = {
      port: port.port,
      host: "127.0.0.1",
      maxVersion: "TLSv1.1",
      minVersion: "TLSv1.1",
      ca: ours.cert,
    } as const;
    const socket = tls.connect({ ...options, ciphers: "DEFAULT@SECLEVEL=0" }, () => resolve(socket.getProtocol()));
    socket.once("error", reject);
  });
  await expect(old).rejects.toThrow();
  const transport = createConnectTransport({ baseUrl: port.url, httpVersion: "1.1", nodeOptions: { ca: ours.cert } });
  expect((await createClient(IdentityService, transport).whoAmI({}, { headers })).organization).toBe("org_default");
});

test("a worker port with an authority lets in its certificates only", async () => {
  const port = await openWorkerServer({
    listen: { host: "127.0.0.1", port: 0 },
    logger: openLogger("test", "silent"),
    lookup: async () => undefined,
    tls: { ...paths, caPath: keep("ca", ours.cert) },
    routes: (router) => addStandardServices(router, { isReady: () => true, reflection: false }),
  });
  const check = (nodeOptions: { ca: string; cert?: string; key?: string }) => {
    const transport = createGrpcTransport({ baseUrl: `https://${port.address}`, nodeOptions });
    return createClient(Health, transport).check({}, { timeoutMs: 5_000 });
  };
  expect((await check({ ca: ours.cert, ...ours.issue("worker") })).status).toBe(1);
  await expect(check({ ca: ours.cert })).rejects.toThrow();
  await expect(check({ ca: ours.cert, ...theirs.issue("worker") })).rejects.toThrow();
  await expect(check({ ca: theirs.cert, ...ours.issue("worker") })).rejects.toThrow();
  await port.stop(200);
});

test("half a pair, and a file that isn't there, are one line each", async () => {
  await expect(openTestPort({ tls: { certPath: paths.certPath } })).rejects.toThrow(
    /needs both a certificate and its key/,
  );
  const missing = openTestPort({ tls: { ...paths, keyPath: join(folder, "none") } });
  await expect(missing).rejects.toThrow(/a TLS file of the public port can't be read: ENOENT/);
});

function keep(name: string, text: string): string {
  const path = join(folder, `${name}.pem`);
  writeFileSync(path, text);
  return path;
}
