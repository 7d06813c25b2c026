import { createServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { claimPort } from "./claim-port.ts";

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

function listen(host: string): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, host, () => resolve((server.address() as { port: number }).port));
    open.push(server);
  });
}

test("port 0 becomes a free one; a free port stays what it is", async () => {
  const { host, port } = await claimPort("RITMO_LISTEN", { host: "127.0.0.1", port: 0 });
  expect(host).toBe("127.0.0.1");
  expect(port).toBeGreaterThan(0);
  expect(await claimPort("RITMO_LISTEN", { host, port })).toEqual({ host, port });
});

test("a taken port: one line with the port, who has it and the setting", async () => {
  const port = await listen("127.0.0.1");
  await expect(claimPort("RITMO_LISTEN", { host: "127.0.0.1", port })).rejects.toThrow(
    new RegExp(
      `^Port ${port} is taken by .+ \\(process ${process.pid}\\)\\. Stop what uses it, or set RITMO_LISTEN to another address`,
    ),
  );
});

test("an address that is another machine's", async () => {
  // 192.0.2.0/24 is for documentation (RFC 5737): nobody has it.
  await expect(claimPort("RITMO_LISTEN", { host: "192.0.2.1", port: 0 })).rejects.toThrow(
    /192\.0\.2\.1:0 can't be listened on \(EADDRNOTAVAIL\).*Set RITMO_LISTEN/,
  );
});
