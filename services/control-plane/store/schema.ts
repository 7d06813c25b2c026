import { bigint, boolean, customType, integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";

// The tables that are read and kept through drizzle, column by column as migrations/ has them: a test holds the two
// together. Keys are the columns' own names, so that a row looks alike however it is read.

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const moment = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

export const organizations = pgTable("organizations", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  created_at: moment("created_at").notNull(),
});

export const tokens = pgTable("tokens", {
  id: text("id").primaryKey(),
  org_id: text("org_id").notNull(),
  name: text("name").notNull(),
  scope: text("scope", { enum: ["read", "write", "admin"] }).notNull(),
  hash: bytea("hash").notNull(),
  created_at: moment("created_at").notNull(),
  last_used_at: moment("last_used_at"),
  expires_at: moment("expires_at"),
  revoked_at: moment("revoked_at"),
});

export const jobs = pgTable("jobs", {
  id: text("id").primaryKey(),
  org_id: text("org_id").notNull(),
  name: text("name").notNull(),
  repository: text("repository").notNull(),
  default_branch: text("default_branch").notNull(),
  description: text("description").notNull(),
  pipeline_path: text("pipeline_path"),
  pipeline_text: text("pipeline_text"),
  paused: boolean("paused").notNull(),
  next_number: bigint("next_number", { mode: "number" }).notNull(),
  revision: bigint("revision", { mode: "number" }).notNull(),
  created_at: moment("created_at").notNull(),
  updated_at: moment("updated_at").notNull(),
  deleted_at: moment("deleted_at"),
  keep_days: integer("keep_days"),
  keep_builds: integer("keep_builds"),
  keep_bytes: bigint("keep_bytes", { mode: "number" }),
});
