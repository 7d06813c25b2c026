import { usage } from "./exit-codes.ts";
import type { Io } from "./io.ts";

export interface Page<T> {
  items: T[];
  next: string;
}

/** Reads pages until there are `limit` items or no more; says on stderr when there are more. */
export async function collectPages<T>(
  io: Io,
  limit: number,
  read: (page: { pageSize: number; pageToken: string }) => Promise<Page<T>>,
): Promise<T[]> {
  const items: T[] = [];
  let pageToken = "";
  do {
    const page = await read({ pageSize: Math.min(limit - items.length, 500), pageToken });
    items.push(...page.items);
    pageToken = page.next;
  } while (pageToken !== "" && items.length < limit);
  if (pageToken !== "") await io.stderr.write(`There are more; \`--limit\` shows more than ${limit}.\n`);
  return items.slice(0, limit);
}

/** The value of --limit, or of another option that counts. */
export function readLimit(text: string, option = "--limit"): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value < 1) throw usage(`${option} ${JSON.stringify(text)} is not a whole number from 1 to 999999.`);
  return value;
}
