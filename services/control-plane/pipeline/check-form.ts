import { findExpression } from "./expression.ts";
import type { Finding, Place } from "./finding.ts";
import type { Grammar } from "./grammars.ts";
import { nearest } from "./nearest.ts";
import type { Entry, MapTree, TextTree, Tree } from "./tree.ts";
import type { Form, ListForm, MapForm, RecordForm, TextForm } from "./written-form.ts";

/** Finds all that is wrong with a tree by its form: keys, kinds of value, and what text looks like. */
export function checkForm(tree: Tree, form: Form, label: string, place: Place, findings: Finding[]): void {
  if (tree.kind === "wrong") return;
  if (tree.kind === "nothing") {
    findings.push({ code: "empty-value", message: `${label} has no value`, fix: emptyFix(form), place });
    return;
  }
  if (form.kind === "text") checkText(tree, form, label, findings);
  else if (form.kind === "boolean") checkBoolean(tree, label, findings);
  else if (form.kind === "list") checkList(tree, form, label, findings);
  else if (tree.kind !== "map") wrongKind(tree, form, label, findings);
  else if (form.kind === "map") checkMap(tree, form, label, place, findings);
  else checkRecord(tree, form, label, place, findings);
}

function checkRecord(tree: MapTree, form: RecordForm, label: string, place: Place, findings: Finding[]): void {
  for (const entry of tree.entries.values()) {
    const key = form.keys.find((one) => one.name === entry.key);
    if (key) checkForm(entry.value, key.form, `\`${key.name}\``, entry.keyPlace, findings);
    else findings.push(unknownKey(entry, form));
  }
  // A step of a kind that is not there yet has its finding already.
  if ([...tree.entries.keys()].some((key) => form.later.includes(key))) return;
  for (const key of form.keys) {
    if (!key.required || tree.entries.has(key.name) || isMisspelt(tree, form, key.name)) continue;
    const message = `${label} has no \`${key.name}\``;
    findings.push({ code: "missing-key", message, fix: `add \`${key.example}\``, place });
  }
}

function unknownKey({ key, keyPlace }: Entry, form: RecordForm): Finding {
  if (form.later.includes(key)) {
    const message = `\`${key}\` is not supported by this version of Ritmo yet`;
    return { code: "not-supported-yet", message, fix: "remove it", place: keyPlace };
  }
  const likely = likelyKey(key, form);
  const message = `${form.what} has no key \`${key}\``;
  const fix = likely ? `did you mean \`${likely}\`?` : `its keys are ${form.keys.map((one) => one.name).join(", ")}`;
  return { code: "unknown-key", message, fix, place: keyPlace };
}

function likelyKey(key: string, form: RecordForm): string | undefined {
  const elsewhere = form.keys.find((one) => one.elsewhere?.includes(key));
  return elsewhere?.name ?? nearest(key, [...form.keys.map((one) => one.name), ...form.later]);
}

function isMisspelt(tree: MapTree, form: RecordForm, name: string): boolean {
  const known = new Set(form.keys.map((one) => one.name));
  return [...tree.entries.keys()].some((key) => !known.has(key) && likelyKey(key, form) === name);
}

function checkMap(tree: MapTree, form: MapForm, label: string, place: Place, findings: Finding[]): void {
  if (tree.entries.size > form.max) {
    const message = `${label} has ${tree.entries.size} entries; at most ${form.max} are allowed`;
    findings.push({ code: "too-many", message, place });
    return;
  }
  for (const { key, keyPlace, value } of tree.entries.values()) {
    checkGrammar(key, form.names, keyPlace, findings, "bad-name");
    checkForm(value, form.values, `${form.what.replace(/^an? /, "")} \`${shorten(key)}\``, keyPlace, findings);
  }
}

function checkList(tree: Tree, form: ListForm, label: string, findings: Finding[]): void {
  if (tree.kind !== "list") {
    if (form.short) checkForm(tree, form.of, label, tree.place, findings);
    else wrongKind(tree, form, label, findings);
    return;
  }
  if (tree.items.length > form.max) {
    const message = `${label} has ${tree.items.length} items; at most ${form.max} are allowed`;
    findings.push({ code: "too-many", message, place: tree.place });
    return;
  }
  for (const item of tree.items) checkForm(item, form.of, `an item of ${label}`, item.place, findings);
}

function checkBoolean(tree: Tree, label: string, findings: Finding[]): void {
  if (tree.kind === "text" && tree.plain && /^(true|false)$/.test(tree.text)) return;
  const fix = "write true or false, without quotes";
  findings.push({ code: "wrong-type", message: `${label} is neither true nor false`, fix, place: tree.place });
}

function checkText(tree: Tree, form: TextForm, label: string, findings: Finding[]): void {
  if (tree.kind !== "text") {
    if (tree.kind === "map" && form.mappingLater) {
      const message = `${label} as a mapping is not supported by this version of Ritmo yet`;
      findings.push({ code: "not-supported-yet", message, fix: "write text", place: tree.place });
    } else wrongKind(tree, form, label, findings);
    return;
  }
  const expression = findExpression(tree.text);
  if (expression) findings.push(expressionFinding(tree, form, expression.inner));
  else checkGrammar(tree.text, form.grammar, tree.place, findings, "bad-value");
}

function expressionFinding({ place }: TextTree, form: TextForm, inner: string): Finding {
  const shown = `\`{{ ${shorten(inner)} }}\``;
  if (!form.code) {
    const message = `${shown} is an expression, and expressions are not supported by this version of Ritmo yet`;
    return { code: "not-supported-yet", message, fix: "write the value itself", place };
  }
  const name =
    inner
      .replace(/[^A-Za-z0-9]+/g, "_")
      .replace(/^_+|_+$/g, "")
      .toUpperCase()
      .slice(0, 40) || "VALUE";
  const message = `${shown} in \`run\` would let a value become code`;
  return { code: "expression-in-run", message, fix: `pass it by \`env\` and write "$${envFor(name)}"`, place };
}

// What the environment of every step has already.
function envFor(name: string): string {
  return /^(BRANCH|TAG|COMMIT|JOB)$/.test(name) ? `RITMO_${name}` : name;
}

function checkGrammar(text: string, grammar: Grammar, place: Place, findings: Finding[], code: string): void {
  const shown = JSON.stringify(shorten(text));
  if (text.length > grammar.maxLength) {
    const message = `${shown} has ${text.length} characters; at most ${grammar.maxLength} are allowed`;
    findings.push({ code: "too-long", message, place });
    return;
  }
  // Half of a pair of surrogates can't be sent or stored as text.
  if (!new RegExp(grammar.pattern).test(text) || !text.isWellFormed()) {
    findings.push({ code, message: `${shown} is not ${grammar.what}`, fix: grammar.mend?.(text), place });
    return;
  }
  const wrong = grammar.check?.(text);
  if (wrong) findings.push({ code, message: `${shown} ${wrong}`, fix: grammar.mend?.(text), place });
}

const FOUND = { text: "text", list: "a list", map: "a mapping", nothing: "nothing", wrong: "nothing" };

function wrongKind(tree: Tree, form: Form, label: string, findings: Finding[]): void {
  const message = `${label} is ${expected(form)}, and this is ${FOUND[tree.kind]}`;
  const fix = form.kind === "text" && tree.kind === "map" ? "quote this" : undefined;
  findings.push({ code: "wrong-type", message, fix, place: tree.place });
}

function expected(form: Form): string {
  if (form.kind === "text") return "text";
  if (form.kind === "list") return "a list";
  if (form.kind === "boolean") return "true or false";
  return form.kind === "map" ? `a mapping of ${form.what.replace(/^an? /, "")}s by their names` : "a mapping";
}

function emptyFix(form: Form): string {
  if (form.kind === "text") return 'write "" for empty text, or remove the key';
  return form.kind === "list" ? "write a list, or remove the key" : "write what belongs there, or remove the key";
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
