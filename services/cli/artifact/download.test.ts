import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { expect, test } from "vitest";
import { makeHome, runCli } from "../testing/run-cli.ts";
import { startFakeServer } from "../testing/start-fake-server.ts";

interface File {
  path: string;
  content: string;
  mode?: number;
  step?: string;
  sha256?: string;
}

const sha = (content: string) => createHash("sha256").update(content).digest("hex");

/** Serves files in pieces of 4 bytes; `breaksAfter` counts the pieces until a stream fails. */
function serve(files: File[], { breaksAfter = Number.POSITIVE_INFINITY }: { breaksAfter?: number } = {}) {
  const asked: number[] = [];
  return {
    asked,
    start: () =>
      startFakeServer((router) =>
        router.service(ArtifactService, {
          listArtifacts: ({ paths }) => ({
            artifacts: files
              .map((file, i) => ({
                id: `art_${i}`,
                path: file.path,
                step: file.step ?? "compile",
                sizeBytes: BigInt(Buffer.byteLength(file.content)),
                sha256: file.sha256 ?? sha(file.content),
                mode: file.mode ?? 0o644,
              }))
              .filter(
                ({ path }) =>
                  !paths.includes("none") &&
                  (paths.length === 0 || paths.some((p) => path.startsWith(p.replace("**", "")))),
              ),
          }),
          async *downloadArtifact({ id, offset }) {
            asked.push(Number(offset));
            const bytes = Buffer.from(files[Number(id.slice(4))]?.content ?? "");
            let pieces = 0;
            for (let at = Number(offset); at < bytes.length; at += 4) {
              if (pieces++ >= breaksAfter) throw new ConnectError("the store is away", Code.Unavailable);
              yield { data: bytes.subarray(at, at + 4), offset: BigInt(at) };
            }
          },
        }),
      ),
  };
}

test("files arrive whole, under their paths, with their modes; again is harmless", async () => {
  const files = serve([
    { path: "dist/app.sh", content: "#!/bin/sh\necho hi\n", mode: 0o4755 },
    { path: "dist/deep/er/data", content: "same" },
    { path: "dist/deep/er/copy", content: "same" },
    { path: "dist/empty", content: "" },
    { path: "other", content: "no" },
  ]);
  await using server = await files.start();
  using home = makeHome();
  const fetch = () =>
    runCli(["artifact", "download", "hello#1", "dist/**", "--to", "out"], { env: server.env, cwd: home.path });
  expect(await fetch()).toMatchObject({ code: 0, out: "" });
  const out = join(home.path, "out");
  expect(readFileSync(join(out, "dist/app.sh"), "utf8")).toBe("#!/bin/sh\necho hi\n");
  expect(statSync(join(out, "dist/app.sh")).mode & 0o7777).toBe(0o755);
  expect(readFileSync(join(out, "dist/deep/er/data"), "utf8")).toBe("same");
  expect(readFileSync(join(out, "dist/empty"), "utf8")).toBe("");
  expect(existsSync(join(out, "other"))).toBe(false);
  expect(readdirSync(join(out, "dist")).sort()).toEqual(["app.sh", "deep", "empty"]);
  const before = files.asked.length;
  expect(await fetch()).toMatchObject({ code: 0, err: expect.stringContaining("already there") });
  expect(files.asked.length).toBe(before);
});

test("a stream that breaks is resumed where it broke", async () => {
  const files = serve([{ path: "data", content: "0123456789abcdefghij" }], { breaksAfter: 2 });
  await using server = await files.start();
  using home = makeHome();
  expect(await runCli(["artifact", "download", "hello#1"], { env: server.env, cwd: home.path })).toMatchObject({
    code: 0,
  });
  expect(readFileSync(join(home.path, "data"), "utf8")).toBe("0123456789abcdefghij");
  expect(files.asked).toEqual([0, 8, 16]);
});

test("what an earlier try left is taken up, and thrown away when it is wrong", async () => {
  const content = "0123456789abcdefghij";
  const files = serve([{ path: "data", content }]);
  await using server = await files.start();
  using home = makeHome();
  const part = join(home.path, `.${sha(`${sha(content)} data`).slice(0, 24)}.ritmo-part`);
  const fetch = () => runCli(["artifact", "download", "hello#1", "--force"], { env: server.env, cwd: home.path });
  writeFileSync(part, "01234567");
  expect(await fetch()).toMatchObject({ code: 0 });
  expect(files.asked).toEqual([8]);
  writeFileSync(join(home.path, "data"), "changed");
  writeFileSync(part, "XXXX");
  expect(await fetch()).toMatchObject({ code: 0 });
  expect(files.asked).toEqual([8, 4, 0]);
  expect(readFileSync(join(home.path, "data"), "utf8")).toBe(content);
  expect(readdirSync(home.path).filter((name) => name.endsWith("part"))).toEqual([]);
});

test("bytes with another digest than promised never get the file's name", async () => {
  const files = serve([{ path: "data", content: "evil", sha256: sha("good") }]);
  await using server = await files.start();
  using home = makeHome();
  const { code, err } = await runCli(["artifact", "download", "hello#1"], { env: server.env, cwd: home.path });
  expect(code).toBe(1);
  expect(err).toContain("SHA-256");
  expect(readdirSync(home.path)).toEqual([]);
});

test.each(["../evil", "/etc/evil", "a/../../evil", "a//b", "./a", "a/", "a\0b", ""])(
  "the path %j leads nowhere",
  async (path) => {
    const files = serve([
      { path: "good", content: "good" },
      { path, content: "evil" },
    ]);
    await using server = await files.start();
    using home = makeHome();
    mkdirSync(join(home.path, "out"));
    const { code, err } = await runCli(["artifact", "download", "hello#1", "--to", "out"], {
      env: server.env,
      cwd: home.path,
    });
    expect(code).toBe(1);
    expect(err).toContain("leads out of its folder");
    expect(readdirSync(home.path)).toEqual(["out"]);
    expect(readdirSync(join(home.path, "out"))).toEqual([]);
  },
);

test("a symbolic link on the way is not followed, nor written through", async () => {
  const files = serve([{ path: "sub/data", content: "evil" }]);
  await using server = await files.start();
  using home = makeHome();
  const [out, elsewhere] = [join(home.path, "out"), join(home.path, "elsewhere")];
  mkdirSync(out);
  mkdirSync(elsewhere);
  symlinkSync(elsewhere, join(out, "sub"));
  const argv = ["artifact", "download", "hello#1", "--to", out, "--force"];
  expect(await runCli(argv, { env: server.env })).toMatchObject({
    code: 1,
    err: expect.stringContaining("in the way"),
  });
  expect(readdirSync(elsewhere)).toEqual([]);
  const target = join(elsewhere, "target");
  writeFileSync(target, "mine");
  const other = join(home.path, "other");
  mkdirSync(join(other, "sub"), { recursive: true });
  symlinkSync(target, join(other, "sub/data"));
  expect(await runCli(["artifact", "download", "hello#1", "--to", other], { env: server.env })).toMatchObject({
    code: 1,
  });
  expect(
    await runCli(["artifact", "download", "hello#1", "--to", other, "--force"], { env: server.env }),
  ).toMatchObject({ code: 0 });
  expect(readFileSync(target, "utf8")).toBe("mine");
  expect(readFileSync(join(other, "sub/data"), "utf8")).toBe("evil");
});

test("a file that differs is kept unless forced; one path from two steps has to be chosen; nothing that matches is told", async () => {
  const files = serve([{ path: "data", content: "new" }]);
  await using server = await files.start();
  using home = makeHome();
  writeFileSync(join(home.path, "data"), "mine");
  const given = { env: server.env, cwd: home.path };
  expect(await runCli(["artifact", "download", "hello#1"], given)).toMatchObject({
    code: 1,
    err: expect.stringContaining("--force"),
  });
  expect(readFileSync(join(home.path, "data"), "utf8")).toBe("mine");
  expect(await runCli(["artifact", "download", "hello#1", "none"], given)).toMatchObject({
    code: 1,
    err: expect.stringContaining("artifact list"),
  });
  const twice = serve([
    { path: "data", content: "a", step: "one" },
    { path: "data", content: "b", step: "two" },
  ]);
  await using other = await twice.start();
  expect(await runCli(["artifact", "download", "hello#1", "--force"], { ...given, env: other.env })).toMatchObject({
    code: 1,
    err: expect.stringContaining("--step"),
  });
});
