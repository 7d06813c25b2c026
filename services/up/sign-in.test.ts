import { expect, test } from "vitest";
import { wayOut } from "./sign-in.ts";

const CHANGED = "The migration 0001_spine was changed after it had been applied to this database";
const NEWER = "The database has the migration 0009_x, which this version of Ritmo does not know: it is newer";
const FOLDER = " Start with another RITMO_DATA_DIR, or start the Ritmo that made this one.";
const ADDRESS = " See to RITMO_DATABASE_URL.";

test.each([
  [CHANGED, false, FOLDER],
  [NEWER, false, FOLDER],
  [NEWER, true, ADDRESS],
  ["connect ECONNREFUSED 127.0.0.1:1", true, ADDRESS],
  ["connect ECONNREFUSED 127.0.0.1:1", false, ""],
  ["the port is taken", true, ""],
])("%s, on a database of one's own: %s", (said, ownDatabase, way) => {
  expect(wayOut(said, ownDatabase)).toBe(way);
});
