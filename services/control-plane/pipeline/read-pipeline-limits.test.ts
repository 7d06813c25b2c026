import { describe, expect, test } from "vitest";
import { readPipeline } from "./read-pipeline.ts";

const codes = (text: string) => readPipeline(text).diagnostics.map((diagnostic) => diagnostic.code);

describe("limits", () => {
  const many = (count: number, rest = (_: number) => "") =>
    `version: 1\nsteps:\n${Array.from({ length: count }, (_, n) => `  s${n}: { run: x${rest(n)} }`).join("\n")}\n`;

  test("ten thousand steps in a row are read, one more is not", () => {
    const inRow = readPipeline(many(10_000, (n) => (n > 0 ? `, needs: s${n - 1}` : "")));
    expect(inRow.diagnostics).toEqual([]);
    expect(inRow.pipeline?.steps).toHaveLength(10_000);
    expect(codes(many(10_001))).toEqual(["too-many"]);
    expect(readPipeline(many(10_001)).diagnostics[0]?.message).toContain("10001");
  });

  test("a cycle of ten thousand steps is shown by its ends", () => {
    const { diagnostics } = readPipeline(many(10_000, (n) => `, needs: s${(n + 1) % 10_000}`));
    expect(diagnostics.map((d) => d.code)).toEqual(["cycle"]);
    expect(diagnostics[0]?.message.length).toBeLessThan(200);
  });

  test("inputs across ten thousand steps are checked", () => {
    const text = many(9_000, (n) => (n > 0 ? `, needs: s${n - 1}, inputs: { artifacts: s0 }` : ", artifacts: x"));
    expect(Buffer.byteLength(text)).toBeGreaterThan(512 * 1024);
    const fits = many(7_000, (n) => (n > 0 ? `, needs: s${n - 1}, inputs: { artifacts: s0 }` : ", artifacts: x"));
    expect(readPipeline(fits).diagnostics).toEqual([]);
  });

  test("512 KiB are read, one byte more is not", () => {
    const start = `${many(1)}#`;
    const fits = start + "x".repeat(512 * 1024 - start.length);
    expect(codes(fits)).toEqual([]);
    expect(codes(`${fits}x`)).toEqual(["too-large"]);
  });

  test("a billion laughs are refused, and so is a small text that would be large in every step", () => {
    const laughs = ["a: &a [x, x, x, x, x, x, x, x, x]"];
    for (const [at, name] of [..."bcdefghij"].entries()) {
      laughs.push(`${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[at]}`).join(", ")}]`);
    }
    expect(readPipeline(laughs.join("\n")).diagnostics).toMatchObject([{ code: "expansion-limit" }]);
    const large = `version: 1\nenv: { A: ${"x".repeat(60_000)} }\nsteps:\n${many(200).split("steps:\n")[1]}`;
    expect(readPipeline(large).diagnostics).toMatchObject([{ code: "too-large" }]);
    const needs = Array.from({ length: 3000 }, (_, n) => `s${n}`).join(",");
    const wide = `version: 1\nsteps:\n  first: { run: x, needs: &all [${needs}] }\n${many(3000, () => ", needs: *all").split("steps:\n")[1]}`;
    expect(readPipeline(wide).diagnostics).toMatchObject([{ code: "expansion-limit" }]);
  });

  test("nesting without end, keys without end, and a flood of mistakes end soon", () => {
    const hostile = [
      "[".repeat(500_000),
      "{".repeat(500_000),
      "- ".repeat(250_000),
      Array.from({ length: 700 }, (_, n) => `${" ".repeat(n)}a:`).join("\n"),
      Array.from({ length: 70_000 }, (_, n) => `a${n}:`).join("\n"),
      "a: ]".repeat(100_000),
      `a: ${"!x ".repeat(100_000)}`,
      `version: 1\nsteps: { a: { run: x, needs: [${"b,".repeat(200_000)}] } }`,
    ];
    for (const text of hostile) {
      const { diagnostics, pipeline } = readPipeline(text);
      expect(pipeline).toBeUndefined();
      expect(diagnostics.length).toBeGreaterThan(0);
      expect(diagnostics.length).toBeLessThanOrEqual(100);
    }
  });
});
