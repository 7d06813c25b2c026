import { expect, test } from "vitest";
import { parseImageName } from "./image-name.ts";

const DIGEST = `sha256:${"0a".repeat(32)}`;

test.each([
  ["node:26", "docker.io", "node", "26"],
  ["node", "docker.io", "node", "latest"],
  ["team/tool", "docker.io", "team/tool", "latest"],
  ["registry.example/team/tool:1.2-rc_3", "registry.example", "registry.example/team/tool", "1.2-rc_3"],
  ["localhost/a__b", "localhost", "localhost/a__b", "latest"],
  ["127.0.0.1:5000/x", "127.0.0.1:5000", "127.0.0.1:5000/x", "latest"],
  [`node@${DIGEST}`, "docker.io", "node", DIGEST],
  [`docker.io.evil.example/x:1@${DIGEST}`, "docker.io.evil.example", "docker.io.evil.example/x", DIGEST],
])("%s", (text, host, repository, version) => {
  expect(parseImageName(text)).toMatchObject({ host, repository, version, byDigest: text.includes("@") });
});

test.each([
  "",
  "-v /:/host",
  "alpine --privileged",
  "alpine\n",
  "Alpine",
  "alpine:",
  "alpine:-x",
  "a/../b",
  "a//b",
  "/a",
  "http://registry.example/a",
  "user:password@registry.example/a",
  "a@sha256:00",
  `a@md5:${"0".repeat(64)}`,
  `alpine:${"x".repeat(129)}`,
  "a".repeat(256),
  "a".repeat(4096),
  "alpine\0",
  "älpine",
])("%j is no image", (text) => {
  expect(parseImageName(text)).toBeUndefined();
});
