import { writeFileSync } from "node:fs";

/** Text such as tools print: numbered lines of words, which zstd packs to about a sixth. */
export function sampleText(bytes: number): Buffer {
  const lines: string[] = [];
  for (let n = 0, length = 0; length < bytes; n++) {
    const object = ((n * 2654435761) % 4294967296).toString(16);
    const line = `${String(n).padStart(6, "0")}  CC  src/module_${n % 97}/part_${n % 1013}.c -> build/obj/${object}.o  [${n % 463} ms]\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join(""));
}

/** The same as a file, for steps that print it: what is measured is not a generator. */
export function writeSampleText(path: string, bytes: number): void {
  writeFileSync(path, sampleText(bytes), { mode: 0o644 });
}
