import { ID_KINDS, type IdPrefix } from "../../process/new-id.ts";
import { badField, notFound, type Refusal } from "../../process/refusal.ts";

const SHOWN_LENGTH = 120;

/** The start of what a caller wrote, safe to repeat to them. */
export function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text);
}

/** INVALID_ARGUMENT NAME_INVALID: it can't be the name of such a thing; `example` shows what could. */
export function nameInvalid(field: string, kind: string, text: string, example: string): Refusal {
  if (text === "") return badField(field, `names no ${kind}; write one like ${example}`, "NAME_INVALID");
  return badField(
    field,
    `${shown(text)} does not name ${withArticle(kind)}; write ${example}, its id or its web address`,
    "NAME_INVALID",
  );
}

/** INVALID_ARGUMENT WRONG_KIND: an id of something else. */
export function wrongKind(field: string, wanted: string, prefix: IdPrefix, id: string): Refusal {
  return badField(
    field,
    `${id} is the id of ${withArticle(ID_KINDS[prefix])}; ${withArticle(wanted)} is wanted`,
    "WRONG_KIND",
  );
}

/** INVALID_ARGUMENT WRONG_KIND: a name that says more or less than is wanted. */
export function wrongName(field: string, wanted: string, given: string, text: string, fix: string): Refusal {
  return badField(
    field,
    `${shown(text)} names ${withArticle(given)}; ${withArticle(wanted)} is wanted: ${fix}`,
    "WRONG_KIND",
  );
}

/** NOT_FOUND, with what was asked for cut to a length that can be shown. */
export function unknownName(kind: string, text: string): Refusal {
  return notFound(kind, text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text);
}

function withArticle(noun: string): string {
  return `${/^[aeio]/.test(noun) ? "an" : "a"} ${noun}`;
}
