import { badField } from "../../process/refusal.ts";

/** How many rows a page has: what was asked for, or the fallback for 0. INVALID_ARGUMENT above the maximum. */
export function pageSize(asked: number, { fallback, max }: { fallback: number; max: number }): number {
  if (asked > max) throw badField("page_size", `is ${asked}; at most ${max} rows make a page`);
  return asked === 0 ? fallback : asked;
}
