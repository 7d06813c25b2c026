import { expect, test } from "vitest";
import { isPrivateAddress, pinAddress } from "./pin-address.ts";

test.each([
  ...[
    "127.0.0.1",
    "127.255.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
  ],
  ...["192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fd00::8", "fe80::1", "fe80::1%eth0"],
  ...[
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:a00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "ff02::1",
    "nonsense",
    "",
  ],
])("%s is private", (address) => expect(isPrivateAddress(address)).toBe(true));

test.each(["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.128.0.1", "192.169.0.1", "2606:4700::1111", "::ffff:1.1.1.1"])(
  "%s is public",
  (address) => expect(isPrivateAddress(address)).toBe(false),
);

test("a name is pinned to one of its addresses when all of them are public", async () => {
  expect(await pinAddress("x", async () => ["1.1.1.1", "2606:4700::1111"])).toEqual({ address: "1.1.1.1" });
  expect(await pinAddress("x", async () => ["1.1.1.1", "10.0.0.1"])).toEqual({ refused: "10.0.0.1" });
  expect(await pinAddress("x", async () => [])).toEqual({ unknown: true });
  expect(await pinAddress("x", () => Promise.reject(new Error("ENOTFOUND")))).toEqual({ unknown: true });
});

test("the machine's own resolver knows localhost, by number too", async () => {
  for (const name of ["localhost", "127.0.0.1", "2130706433", "::1"]) {
    expect(await pinAddress(name), name).toHaveProperty("refused");
  }
});
