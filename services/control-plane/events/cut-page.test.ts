import { expect, test } from "vitest";
import { cutPage } from "./cut-page.ts";

/** `100:2a`: the second event of all, about a, in transaction 100. */
const rows = (text: string) =>
  text.split(" ").map((word) => {
    const [, xid = "", seq, subject = ""] = /^(\d+):(\d+)(\w)$/.exec(word) ?? [];
    return { xid, seq: Number(seq), subject };
  });

test.each([
  ["all", "100:1a 101:2a 102:3b", 3, 3],
  ["as many as may be", "100:1a 101:2a 102:3b", 2, 2],
  ["none", "100:1a", 0, 0],
  ["whole transactions where there is more than one", "100:1a 101:2b 101:3c", 2, 1],
  ["a part of a transaction that fills the page", "100:1a 100:2b 100:3c", 2, 2],
  ["both sides of an inversion", "100:2a 101:1a", 2, 2],
  ["nothing before which something that follows happened", "100:2a 101:1a", 1, 0],
  ["what comes before an inversion", "99:1b 100:3a 101:2a", 2, 1],
  ["the transaction that is late as a whole", "99:1c 100:2b 100:4a 101:3a", 3, 1],
  ["another row's order is its own", "100:2b 101:1a", 1, 1],
  ["what holds up something is held up itself", "98:5b 99:4c 100:3b 100:7a 101:6a", 4, 0],
])("a page holds %s", (_, text, most, count) => {
  expect(cutPage(rows(text), most)).toBe(count);
});
