import { expect, test } from "vitest";
import { readSettings, SettingsError } from "../process/read-settings.ts";
import { CONTROL_PLANE_SETTINGS } from "./config.ts";
import { findContradictions, findMissing } from "./find-contradictions.ts";

function faultsOf(env: Record<string, string>): string[] {
  try {
    readSettings(CONTROL_PLANE_SETTINGS, env, {}, (values) => [...findContradictions(values), ...findMissing(values)]);
    return [];
  } catch (reason) {
    if (reason instanceof SettingsError) return reason.faults;
    throw reason;
  }
}

const GOOD = { RITMO_DATABASE_URL: "postgres://u:secret@db/ritmo", RITMO_BLOB_DIR: "/var/lib/ritmo" };
const S3 = {
  RITMO_S3_ENDPOINT: "https://s3",
  RITMO_S3_BUCKET: "b",
  RITMO_S3_ACCESS_KEY_ID: "i",
  RITMO_S3_SECRET_ACCESS_KEY: "k",
};

test("settings that fit together have no faults", () => {
  expect(faultsOf(GOOD)).toEqual([]);
  expect(faultsOf({ RITMO_DATABASE_URL: GOOD.RITMO_DATABASE_URL, ...S3 })).toEqual([]);
});

test("everything that is wrong is told at once, well formed or not, and no password among it", () => {
  const faults = faultsOf({
    RITMO_LISTEN: "nope",
    RITMO_LEASE_SECONDS: "abc",
    RITMO_S3_BUCKET: "b",
    RITMO_TLS_CERT: "/nope",
    RITMO_DATABASE_URL: "mysql://u:secret@x",
  });
  const named = faults.map((line) => line.split(":", 1)[0]);
  for (const name of ["LISTEN", "LEASE_SECONDS", "S3_ENDPOINT", "TLS_KEY", "TLS_CERT", "DATABASE_URL"]) {
    expect(named).toContain(`RITMO_${name}`);
  }
  expect(faults.join("\n")).not.toContain("secret");
});

test("two stores, and none, are faults", () => {
  expect(faultsOf({ ...GOOD, ...S3 })).toEqual([expect.stringContaining("one place")]);
  expect(faultsOf({ RITMO_DATABASE_URL: GOOD.RITMO_DATABASE_URL })).toEqual([
    expect.stringContaining("where logs and artifacts go"),
  ]);
});
