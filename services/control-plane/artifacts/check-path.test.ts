import { expect, test } from "vitest";
import { Refusal } from "../../process/refusal.ts";
import { checkPath } from "./check-path.ts";

test.each([
  "a",
  "dist/app.js",
  "with space/ünï😀.txt",
  ".hidden/..still-fine",
  "console.log",
  "nullable/auxiliary/company",
  "a/.gitignore",
  `${"d/".repeat(99)}f`,
  "x".repeat(255),
])("%s is a path", (path) => {
  expect(checkPath(path)).toBe(path);
});

test.each([
  ["", "is empty"],
  ["/etc/passwd", "is absolute"],
  ["../../etc/cron.d/x", '".." in it'],
  ["a/../../b", '".." in it'],
  ["..", '".." in it'],
  ["./a", '"." in it'],
  ["..\\..\\x", "backslash"],
  ["C:\\x", "backslash"],
  ["C:/x", "drive letter"],
  ["c:x", "drive letter"],
  ["a//b", "empty name"],
  ["a/", "empty name"],
  ["a\0b", "control character"],
  ["a\nb", "control character"],
  ["x".repeat(256), "over 255 bytes"],
  ["ä".repeat(128), "over 255 bytes"],
  [`${"dir/".repeat(1_024)}f`, "over 4095 bytes"],
  [`${"d/".repeat(300)}f`, "folders deep"],
  ["dist/CON", "device"],
  ["nul.txt", "device"],
  ["COM1", "device"],
  [".git/hooks/post-checkout", ".git in it"],
  ["sub/.GIT/config", ".git in it"],
])("%j is refused: %s", (path, why) => {
  const reason = (() => {
    try {
      return checkPath(path);
    } catch (caught) {
      return caught;
    }
  })();
  expect(reason).toBeInstanceOf(Refusal);
  expect(reason).toMatchObject({
    code: "invalid_argument",
    reason: "PATH_REFUSED",
    message: expect.stringContaining(why),
  });
});
