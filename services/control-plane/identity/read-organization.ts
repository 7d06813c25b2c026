import { eq } from "drizzle-orm";
import type { Db } from "../store/open-database.ts";
import { organizations } from "../store/schema.ts";

/** The organization's name. */
export async function readOrganization({ orm }: Pick<Db, "orm">, id: string): Promise<string> {
  const [row] = await orm.select({ name: organizations.name }).from(organizations).where(eq(organizations.id, id));
  return row?.name ?? "";
}
