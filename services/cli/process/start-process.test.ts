import { expect, test } from "vitest";
import { readFlags } from "./start-process.ts";

test("flags are settings, in either form; what is no flag is passed on", () => {
  expect(
    readFlags(["--listen", "127.0.0.1:0", "--s3-path-style=false", "--reflection", "--log-level", "warn"]),
  ).toEqual({
    args: [],
    env: {
      RITMO_LISTEN: "127.0.0.1:0",
      RITMO_S3_PATH_STYLE: "false",
      RITMO_REFLECTION: "true",
      RITMO_LOG_LEVEL: "warn",
    },
  });
  expect(readFlags(["config", "--new-setup-code"])).toEqual({ args: ["config", "--new-setup-code"], env: {} });
  expect(() => readFlags(["-x"])).toThrow("is not a flag");
  expect(() => readFlags(["--LISTEN=1"])).toThrow("is not a flag");
});
