/** What a piece of text must look like. */
export interface Grammar {
  /** In a sentence: "is not …". */
  what: string;
  /** ECMAScript without flags, as JSON Schema has it. */
  pattern: string;
  maxLength: number;
  /** What the pattern can't say; answers what is wrong. */
  check?(text: string): string | undefined;
  /** What was probably meant, where it is clear. */
  mend?(text: string): string | undefined;
  /** Also written as a number or a boolean in JSON, and taken as it is spelt. */
  spelt?: true;
}

const DAY_SECONDS = 86_400;
const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: DAY_SECONDS } as const;
const UNIT_BYTES = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** The seconds of `90s`, `15m`, `2h` or `1d`; NaN for anything else. */
export function durationSeconds(text: string): number {
  const found = /^(\d{1,7})([smhd])$/.exec(text);
  return found ? Number(found[1]) * UNIT_SECONDS[found[2] as keyof typeof UNIT_SECONDS] : Number.NaN;
}

/** The shortest spelling of a number of seconds. */
export function durationText(seconds: number): string {
  const unit = (["d", "h", "m"] as const).find((one) => seconds % UNIT_SECONDS[one] === 0) ?? "s";
  return `${seconds / UNIT_SECONDS[unit]}${unit}`;
}

/** The bytes of `512MiB` or `4GiB`; NaN for anything else. */
export function sizeBytes(text: string): number {
  const found = /^(\d{1,9})([KMGT]iB)$/.exec(text);
  return found ? Number(found[1]) * UNIT_BYTES[found[2] as keyof typeof UNIT_BYTES] : Number.NaN;
}

/** The shortest spelling of a number of bytes, which must be whole kibibytes. */
export function sizeText(bytes: number): string {
  const unit = (["TiB", "GiB", "MiB"] as const).find((one) => bytes % UNIT_BYTES[one] === 0) ?? "KiB";
  return `${bytes / UNIT_BYTES[unit]}${unit}`;
}

/** The thousandths of `2` or `0.5`; NaN for anything else. */
export function cpuMillis(text: string): number {
  return /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Math.round(Number(text) * 1000) : Number.NaN;
}

export const stepName: Grammar = {
  what: "a step's name: small letters, digits and dashes, at most 63, the first not a dash",
  pattern: "^[a-z0-9][a-z0-9-]{0,62}$",
  maxLength: 63,
  mend(text) {
    const mended = text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 63);
    return mended ? `write ${mended}` : undefined;
  },
};

export const version: Grammar = {
  what: "1, the only version there is",
  pattern: "^1$",
  maxLength: 8,
  spelt: true,
  mend: () => "write 1",
};

export const command: Grammar = {
  what: "a command",
  pattern: "^[^\\u0000]*\\S[^\\u0000]*$",
  maxLength: 256 * 1024,
};

export const duration: Grammar = {
  what: "a duration such as 90s, 15m or 2h",
  pattern: "^\\d{1,7}[smhd]$",
  maxLength: 32,
  check(text) {
    const seconds = durationSeconds(text);
    return seconds < 1 || seconds > 7 * DAY_SECONDS ? "is not between 1s and 7d" : undefined;
  },
  mend: mendDuration,
};

export const size: Grammar = {
  what: "a size such as 512MiB or 4GiB",
  pattern: "^\\d{1,9}[KMGT]iB$",
  maxLength: 32,
  check(text) {
    const bytes = sizeBytes(text);
    return bytes < 1024 || bytes > 64 * UNIT_BYTES.TiB ? "is not between 1KiB and 64TiB" : undefined;
  },
  mend(text) {
    const found = /^(\d+)\s*([kmgt])(i?b?)?$/i.exec(text);
    return found ? `write ${found[1]}${found[2]?.toUpperCase()}iB` : undefined;
  },
};

export const cpu: Grammar = {
  what: "a number of CPUs such as 2 or 0.5",
  pattern: "^\\d{1,4}(\\.\\d{1,3})?$",
  maxLength: 32,
  spelt: true,
  check(text) {
    const millis = cpuMillis(text);
    return millis < 1 || millis > 1_024_000 ? "is not between 0.001 and 1024" : undefined;
  },
  mend(text) {
    const found = /^(\d+)m$/.exec(text);
    return found ? `write ${Number(found[1]) / 1000}` : undefined;
  },
};

export const envName: Grammar = {
  what: "a variable's name: letters, digits and underscores, the first not a digit",
  pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
  maxLength: 255,
  check: (text) =>
    text.startsWith("RITMO_") ? "is given by Ritmo itself; names with RITMO_ are kept for it" : undefined,
};

export const envValue: Grammar = { what: "a value", pattern: "^[^\\u0000]*$", maxLength: 64 * 1024, spelt: true };

export const labelKey: Grammar = {
  what: "a label's name: letters, digits and . _ - /, at most 63, the first a letter or digit",
  pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$",
  maxLength: 63,
  check: (text) =>
    text.startsWith("ritmo/") ? "is given by Ritmo itself; labels with ritmo/ are kept for it" : undefined,
};

export const labelValue: Grammar = {
  what: "a label's value: printable, without blanks or commas, at most 255",
  pattern: "^[!-+\\--~]+$",
  maxLength: 255,
  spelt: true,
};

// The reference grammar of distribution/reference, without what a shell or an option could make of it.
const IMAGE_PART = "[a-z0-9]+(?:(?:\\.|_{1,2}|-+)[a-z0-9]+)*";
export const image: Grammar = {
  what: "a container image such as node:26 or registry.example/team/tool@sha256:…",
  pattern: `^(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\\d{1,5})?/)?${IMAGE_PART}(?:/${IMAGE_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`,
  maxLength: 512,
};

export const shell: Grammar = {
  what: "a program, with its options where it needs some",
  pattern: "^[^\\s\\u0000-\\u001f-][^\\u0000-\\u001f]*$",
  maxLength: 255,
};

export const glob: Grammar = {
  what: "a pattern of files such as dist/** or *.log",
  pattern: "^[^\\u0000-\\u001f]*[^\\u0000-\\u001f\\s][^\\u0000-\\u001f]*$",
  maxLength: 1024,
  check: outsideWorkspace,
  mend: (text) => (/^\/[^/]/.test(text) ? `write ${text.slice(1)}` : undefined),
};

export const folder: Grammar = {
  what: "a folder within the workspace",
  pattern: "^[^\\u0000-\\u001f\\\\]+$",
  maxLength: 1024,
  check: outsideWorkspace,
};

function outsideWorkspace(text: string): string | undefined {
  const path = text.replace(/^!/, "").replaceAll("\\", "/");
  if (/^(\/|~|[A-Za-z]:\/)/.test(path)) return "is not within the workspace; write it from the workspace's top";
  if (/(^|\/)\.\.(\/|$)/.test(path)) return "climbs out of the workspace with `..`";
  return undefined;
}

function mendDuration(text: string): string | undefined {
  if (!Number.isNaN(durationSeconds(text))) return undefined;
  if (/^\d+$/.test(text)) return `write ${text}s, ${text}m or ${text}h`;
  const words = /^(\d+)\s*(s|m|h|d)[a-z]*$/i.exec(text);
  if (words) return `write ${words[1]}${words[2]?.toLowerCase()}`;
  const both = /^(\d+)h\s*(\d+)m$/.exec(text);
  return both ? `write ${Number(both[1]) * 60 + Number(both[2])}m` : undefined;
}
