import { expect, test } from "vitest";
import { leaseClock } from "./lease-clock.ts";

test("the lease counts from when the report was sent, less a margin", () => {
  let now = 0;
  const lease = leaseClock(() => now);
  expect(lease.holds()).toBe(false);
  lease.renewed(0, 20_000);
  now = 18_999;
  expect(lease.holds()).toBe(true);
  now = 19_000;
  expect(lease.holds()).toBe(false);
  // An answer to an old report that comes late grants nothing that is over.
  lease.renewed(0, 20_000);
  expect(lease.holds()).toBe(false);
  lease.renewed(18_000, 20_000);
  expect(lease.holds()).toBe(true);
});

test("an answer to an older report never shortens the lease, and a short lease has a short margin", () => {
  let now = 0;
  const lease = leaseClock(() => now);
  lease.renewed(5_000, 2_000);
  lease.renewed(4_000, 2_000);
  now = 6_799;
  expect(lease.holds()).toBe(true);
  now = 6_800;
  expect(lease.holds()).toBe(false);
});

test("who waits goes on with the next answer that counts, or when aborted", async () => {
  const now = 10_000;
  const lease = leaseClock(() => now);
  let went = false;
  const waiting = lease.whenHeld(new AbortController().signal).then(() => {
    went = true;
  });
  lease.renewed(0, 1_000);
  await Promise.resolve();
  expect(went).toBe(false);
  lease.renewed(now, 1_000);
  await waiting;
  const stop = new AbortController();
  const other = leaseClock(() => now).whenHeld(stop.signal);
  stop.abort();
  await other;
});
