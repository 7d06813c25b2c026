import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { readPipeline } from "../control-plane/pipeline/read-pipeline.ts";
import { SAMPLE_BRANCHES } from "../sample/sample-files.ts";

const ROOT = join(import.meta.dirname, "../..");

function pages(): string[] {
  const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" });
  const inDocs = docs.filter((name) => name.endsWith(".md")).map((name) => join(ROOT, "docs", name));
  return [join(ROOT, "README.md"), join(ROOT, "CONTRIBUTING.md"), ...inDocs];
}

/** Links to files of the checkout, without their `#part`. */
function linksOf(page: string): string[] {
  return [...readFileSync(page, "utf8").matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)]
    .map((match) => match[1] as string)
    .filter((target) => !/^[a-z]+:/.test(target));
}

test("every link to a file leads somewhere", () => {
  const broken = pages().flatMap((page) =>
    linksOf(page)
      .filter((target) => !existsSync(join(dirname(page), target)))
      .map((target) => `${relative(ROOT, page)} → ${target}`),
  );
  expect(broken).toEqual([]);
});

test("every page of docs/ is reached from docs/README.md", () => {
  const reached = new Set<string>();
  const visit = (page: string) => {
    if (reached.has(page) || !existsSync(page)) return;
    reached.add(page);
    for (const target of linksOf(page).filter((name) => name.endsWith(".md"))) visit(join(dirname(page), target));
  };
  visit(join(ROOT, "docs/README.md"));
  expect(
    pages()
      .filter((page) => !reached.has(page))
      .map((page) => relative(ROOT, page)),
  ).toEqual([]);
});

test("this repository's own pipeline and the sample's say nothing wrong", () => {
  const samples = SAMPLE_BRANCHES.flatMap(({ files }) => files[".ritmo.yaml"] ?? []);
  for (const text of [readFileSync(join(ROOT, ".ritmo.yaml"), "utf8"), ...samples]) {
    expect(readPipeline(text, ".ritmo.yaml").diagnostics).toEqual([]);
  }
});
