import { expect, test } from "vitest";
import { readSettings, SettingsError } from "../process/read-settings.ts";
import { WORKER_SETTINGS } from "./config.ts";

const read = (env: Record<string, string>) => readSettings(WORKER_SETTINGS, env).values;

test("addresses: one, several, with TLS, and of IPv6", () => {
  expect(read({}).controlPlanes).toEqual([{ target: "127.0.0.1:7481", tls: false }]);
  expect(read({ RITMO_CONTROL_PLANE: "a:1, https://b.example:2,http://[::1]:3/" }).controlPlanes).toEqual([
    { target: "a:1", tls: false },
    { target: "b.example:2", tls: true },
    { target: "[::1]:3", tls: false },
  ]);
});

test.each(["", "a", "a:99999", "ftp://a:1", "a:1,,b:2", "https://a:1/path"].filter(Boolean))(
  "%j is no address",
  (given) => {
    expect(() => read({ RITMO_CONTROL_PLANE: given })).toThrow(SettingsError);
  },
);

test("labels and executors", () => {
  expect(read({ RITMO_LABELS: "gpu=true,zone=eu-1" }).labels).toEqual([
    { key: "gpu", value: "true" },
    { key: "zone", value: "eu-1" },
  ]);
  expect(read({ RITMO_EXECUTORS: "scripted" }).executors).toEqual(["scripted"]);
  for (const given of ["gpu", "=x", "a b=c", "ritmo/executor=docker"]) {
    expect(() => read({ RITMO_LABELS: given })).toThrow(/RITMO_LABELS/);
  }
  expect(() => read({ RITMO_EXECUTORS: "process,magic" })).toThrow(/RITMO_EXECUTORS/);
});

test("what steps get of the worker's environment: names, and nothing of Ritmo's", () => {
  expect(read({}).stepEnv).toEqual([]);
  expect(read({ RITMO_STEP_ENV: "HTTPS_PROXY, no_proxy,HTTPS_PROXY" }).stepEnv).toEqual(["HTTPS_PROXY", "no_proxy"]);
  for (const given of ["RITMO_WORKER_TOKEN", "ritmo_x", "A=b", "HTTPS_*", "1A", "HOME"]) {
    expect(() => read({ RITMO_STEP_ENV: given })).toThrow(/RITMO_STEP_ENV/);
  }
});
