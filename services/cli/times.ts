import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { usage } from "./exit-codes.ts";

const UNITS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
];

/** `2 h 5 m`, `12 s`, `0.4 s`, `40 ms`. */
export function durationText(ms: number): string {
  if (ms <= 0) return "0 s";
  if (ms < 100) return `${Math.ceil(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1).replace(/\.0$/, "")} s`;
  let seconds = Math.round(ms / 1000);
  const parts: string[] = [];
  for (const [size, unit] of UNITS) {
    if (seconds >= size && parts.length < 2) parts.push(`${Math.floor(seconds / size)} ${unit}`);
    seconds %= size;
  }
  return parts.join(" ");
}

/** `3 m ago`; empty where there is no time. */
export function ago(time: Timestamp | undefined, now: number = Date.now()): string {
  if (!time) return "";
  const ms = now - timestampDate(time).getTime();
  if (ms < 1_000) return "just now";
  // Of what is past the largest unit is enough.
  return `${durationText(ms).replace(/\.\d/, "").split(" ", 2).join(" ")} ago`;
}

/** How long something took, or has taken until now; empty where it has not begun. */
export function tookText(from: Timestamp | undefined, to: Timestamp | undefined, now: number = Date.now()): string {
  if (!from) return "";
  return durationText((to ? timestampDate(to).getTime() : now) - timestampDate(from).getTime());
}

/** `90s`, `15m`, `2h`, `1d` or plain seconds, as milliseconds. */
export function readDuration(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h|d)?$/.exec(text.trim());
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? "s"];
  if (!match || unit === undefined) throw usage(`${JSON.stringify(text)} is not a time like 90s, 15m or 2h.`);
  return Number(match[1]) * unit;
}

/** `512 B`, `1.4 MiB`. */
export function sizeText(bytes: bigint | number): string {
  let value = Number(bytes);
  let unit = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
