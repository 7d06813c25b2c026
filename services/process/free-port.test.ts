import { createServer } from "node:net";
import { expect, test } from "vitest";
import { freePort } from "./free-port.ts";

test("can be listened on, and is not one that an outgoing connection may take", async () => {
  const port = await freePort();
  expect(port).toBeLessThan(49_152);
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  server.close();
});

test("an address that is another machine's is the caller's to hear of", async () => {
  // 192.0.2.0/24 is for documentation (RFC 5737): nobody has it.
  await expect(freePort("192.0.2.1")).rejects.toThrow("EADDRNOTAVAIL");
});
