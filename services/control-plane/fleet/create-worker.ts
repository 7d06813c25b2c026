import type { CreateWorkerRequest } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { newId } from "../../process/new-id.ts";
import { badField, Refusal } from "../../process/refusal.ts";
import { hashToken, newTokenValue } from "../identity/token-values.ts";
import { type Grammar, labelKey, labelValue } from "../pipeline/grammars.ts";
import type { Sql } from "../store/open-database.ts";

export interface NewWorker {
  name: string;
  pool: string;
  /** `k=v`, ordered. */
  fixedLabels: string[];
  allowedLabelKeys: string[];
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const MAX_LABELS = 100;

/** What a request asks for, checked. INVALID_ARGUMENT names the field. */
export function readNewWorker({ name, pool, labels, allowedLabelKeys }: CreateWorkerRequest): NewWorker {
  const grammar = "a lower-case letter or digit first, then up to 62 of those and dashes";
  if (!NAME.test(name)) throw badField("name", `is no name: ${grammar}`);
  if (pool !== "" && !NAME.test(pool)) throw badField("pool", `is no name: ${grammar}`);
  if (labels.length > MAX_LABELS)
    throw badField("labels", `are ${labels.length}; at most ${MAX_LABELS} go with a worker`);
  if (allowedLabelKeys.length > MAX_LABELS)
    throw badField("allowed_label_keys", `are ${allowedLabelKeys.length}; at most ${MAX_LABELS} can be allowed`);
  for (const [i, { key, value }] of labels.entries()) {
    refuseUnless(labelKey, key, `labels[${i}].key`);
    refuseUnless(labelValue, value, `labels[${i}].value`);
    if (labels.findIndex((label) => label.key === key) < i) throw badField(`labels[${i}].key`, `${key} is given twice`);
  }
  for (const [i, key] of allowedLabelKeys.entries())
    if (key !== "*") refuseUnless(labelKey, key, `allowed_label_keys[${i}]`);
  return {
    name,
    pool: pool || "default",
    fixedLabels: labels.map(({ key, value }) => `${key}=${value}`).sort(),
    allowedLabelKeys: [...new Set(allowedLabelKeys)].sort(),
  };
}

function refuseUnless(grammar: Grammar, text: string, field: string): void {
  if (text.length > grammar.maxLength || !new RegExp(grammar.pattern).test(text))
    throw badField(field, `is not ${grammar.what}`);
  const wrong = grammar.check?.(text);
  if (wrong) throw badField(field, wrong);
}

/** Makes a place in the fleet; answers its id and, this once, its token. ALREADY_EXISTS WORKER_EXISTS. */
export async function createWorker(tx: Sql, orgId: string, worker: NewWorker): Promise<{ id: string; token: string }> {
  const { name, pool, fixedLabels, allowedLabelKeys } = worker;
  const token = newTokenValue("worker");
  const [row] = await tx<{ id: string }[]>`
    INSERT INTO workers (id, org_id, name, pool, token_hash, fixed_labels, allowed_label_keys, labels)
    VALUES (${newId("wrk")}, ${orgId}, ${name}, ${pool}, ${hashToken(token)}, ${fixedLabels}, ${allowedLabelKeys},
      ${fixedLabels})
    ON CONFLICT DO NOTHING RETURNING id`;
  if (!row) throw new Refusal("already_exists", "WORKER_EXISTS", `a worker named ${name} exists; choose another name`);
  return { id: row.id, token };
}
