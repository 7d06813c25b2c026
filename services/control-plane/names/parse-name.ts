import { type IdPrefix, prefixOfId } from "../../process/new-id.ts";

/** What somebody typed or pasted, taken apart. Nothing is looked up here. */
export type ParsedName =
  | { form: "id"; prefix: IdPrefix; id: string }
  | {
      /** Of an address, the parts that a caller does not need are no fault: people paste what they look at. */
      form: "name" | "address";
      job: string;
      number?: number;
      step?: string;
      attempt?: number;
    };

// More than any name or address needs; longer input is not even looked at.
const MAX_LENGTH = 1_000;
const LABEL = "[a-z0-9][a-z0-9-]{0,62}";
// Fifteen digits keep a number exact in a double, nine keep it within int4.
const NAME = new RegExp(`^(${LABEL})(?:#(\\d{1,15})(?:/([^\\p{C}/@]{1,200})(?:@(\\d{1,9}))?)?)?$`, "u");
const PATH = new RegExp(`^/jobs/(${LABEL})(?:/edit|/builds/(\\d{1,15}))?/?$`);

/**
 * Takes a human name (`hello`, `hello#3`, `hello#3/test`, `hello#3/test@2`), an id or a web address
 * (`…/jobs/hello/builds/3?step=test&attempt=2`) apart; undefined for anything else.
 */
export function parseName(text: string): ParsedName | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const prefix = prefixOfId(text);
  if (prefix) return { form: "id", prefix, id: text };
  if (/^https?:\/\//i.test(text)) return parseAddress(text);
  const [, job, number, step, attempt] = NAME.exec(text) ?? [];
  return job === undefined ? undefined : { form: "name", ...parts(job, number, step, attempt) };
}

function parseAddress(text: string): ParsedName | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const [, job, number] = PATH.exec(url.pathname) ?? [];
  if (job === undefined) return undefined;
  const step = url.searchParams.get("step") || undefined;
  const attempt = url.searchParams.get("attempt") || undefined;
  if (step !== undefined && !/^[^\p{C}/@]{1,200}$/u.test(step)) return undefined;
  if (attempt !== undefined && !/^\d{1,9}$/.test(attempt)) return undefined;
  return { form: "address", ...parts(job, number, number && step, number && step && attempt) };
}

function parts(job: string, number?: string, step?: string, attempt?: string) {
  return {
    job,
    ...(number ? { number: Number(number) } : {}),
    ...(step ? { step } : {}),
    ...(attempt ? { attempt: Number(attempt) } : {}),
  };
}
