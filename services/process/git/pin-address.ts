import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";

const PRIVATE = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const) {
  PRIVATE.addSubnet(net, bits, "ipv4");
}
for (const [net, bits] of [
  ["::", 127],
  // NAT64 and 6to4 lead to IPv4 addresses that are not looked at here.
  ["64:ff9b::", 32],
  ["2002::", 16],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
] as const) {
  PRIVATE.addSubnet(net, bits, "ipv6");
}

/** Whether an IP address is one that only this machine or its network has (IANA special-purpose registries). */
export function isPrivateAddress(address: string): boolean {
  const bare = address.replace(/%.*$/, "");
  const family = isIP(bare);
  if (family === 0) return true;
  // IPv4-mapped addresses are checked as IPv4 by BlockList itself.
  return PRIVATE.check(bare, family === 6 ? "ipv6" : "ipv4");
}

/**
 * The one address to connect to for a host's name, public by all its answers, or what stands against it. Connecting
 * to that address, rather than to the name again, leaves no time in which the name's answer may change.
 */
export async function pinAddress(
  hostname: string,
  find: (name: string) => Promise<string[]> = findAddresses,
): Promise<{ address: string } | { refused: string } | { unknown: true }> {
  const addresses = await find(hostname).catch(() => []);
  const hidden = addresses.find(isPrivateAddress);
  if (hidden) return { refused: hidden };
  const [address] = addresses;
  return address ? { address } : { unknown: true };
}

async function findAddresses(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map((one) => one.address);
}
