import type { Node, Scalar } from "yaml";
import {
  type Alias,
  Composer,
  type CST,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  Parser,
  type YAMLMap,
  YAMLParseError,
} from "yaml";
import { explainYaml } from "./explain-yaml.ts";
import type { Finding, Place } from "./finding.ts";
import type { Entry, MapTree, Tree } from "./tree.ts";

// What aliases and merges may add to what is written: enough for ten thousand steps that share a dozen settings.
const MAX_EXPANDED_NODES = 500_000;
const MAX_DEPTH = 64;
const MAX_SYNTAX_ERRORS = 100;

/**
 * Reads YAML 1.2 (core schema, merge keys) into a tree with places. An error of syntax leaves no tree, since nothing
 * after it can be trusted; everything else is found at once.
 */
export function readTree(text: string): { tree?: Tree; findings: Finding[] } {
  const document = parse(text);
  if (!document) return { tree: { kind: "nothing", place: [0, 0], size: 1 }, findings: [] };
  const findings = explainYaml([...document.errors, ...document.warnings]);
  if (document.errors.length > 0) return { findings };
  const reader: Reader = { findings, anchors: new Map(), expanded: 0 };
  const root = document.contents as Node | null;
  return { tree: toTree(reader, root, [0, 0], 0), findings };
}

/** As parseDocument of `yaml` does it, but that a flood of errors ends it. */
function parse(text: string) {
  const composer = new Composer({
    // Checked below in linear time.
    uniqueKeys: false,
    resolveKnownTags: false,
  });
  const tokens = untilTooMany(new Parser().parse(text));
  const [document, second] = composer.compose(tokens, true, text.length);
  if (second) {
    const place: [number, number] = [second.range[0], second.range[1]];
    document?.errors.push(new YAMLParseError(place, "MULTIPLE_DOCS", "a second document begins here"));
  }
  return document;
}

function* untilTooMany(tokens: Iterable<CST.Token>): Generator<CST.Token, void> {
  let errors = 0;
  for (const token of tokens) {
    yield token;
    if (token.type === "error" && ++errors > MAX_SYNTAX_ERRORS) return;
  }
}

interface Reader {
  findings: Finding[];
  /** `open` while the anchor's own content is being read. */
  anchors: Map<string, Tree | "open">;
  expanded: number;
}

function toTree(reader: Reader, node: Node | null | undefined, fallback: Place, depth: number): Tree {
  const place = placeOf(node) ?? fallback;
  if (depth > MAX_DEPTH) return wrong(reader, place, "too-deep", `this is nested deeper than ${MAX_DEPTH} levels`);
  if (isAlias(node)) return toAliased(reader, node, place);
  const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
  if (anchor !== undefined) reader.anchors.set(anchor, "open");
  const tree = toOwnTree(reader, node, place, depth);
  if (anchor !== undefined) reader.anchors.set(anchor, tree);
  return tree;
}

function toOwnTree(reader: Reader, node: Node | null | undefined, place: Place, depth: number): Tree {
  if (isMap(node)) return toMap(reader, node, place, depth);
  if (isSeq(node)) {
    const items = node.items.map((item) => toTree(reader, item as Node | null, place, depth + 1));
    return { kind: "list", items, place, size: items.reduce((sum, item) => sum + item.size, 1) };
  }
  if (isScalar(node)) return toText(node, place);
  return { kind: "nothing", place, size: 1 };
}

function toText(node: Scalar, place: Place): Tree {
  const plain = node.type === "PLAIN" || node.type === undefined;
  const text = node.source ?? "";
  if (plain && text === "") return { kind: "nothing", place, size: 1 };
  return { kind: "text", text, plain, place, size: 1 };
}

function toAliased(reader: Reader, alias: Alias, place: Place): Tree {
  const target = reader.anchors.get(alias.source);
  if (target === undefined) {
    const message = `\`*${alias.source}\` refers to an anchor, and no \`&${alias.source}\` stands before it`;
    return wrong(reader, place, "unresolved-alias", message, `quote this: "*${alias.source}"`);
  }
  if (target === "open") return wrong(reader, place, "alias-cycle", `\`*${alias.source}\` would contain itself`);
  reader.expanded += target.size;
  if (reader.expanded <= MAX_EXPANDED_NODES) return target;
  const known = reader.findings.some((finding) => finding.code === "expansion-limit");
  if (known) return { kind: "wrong", place, size: 1 };
  const message = `with its aliases written out this pipeline has more than ${MAX_EXPANDED_NODES} parts more`;
  return wrong(reader, place, "expansion-limit", message, "repeat less");
}

function toMap(reader: Reader, node: YAMLMap, place: Place, depth: number): Tree {
  const map: MapTree = { kind: "map", entries: new Map(), place, size: 1 };
  const merged: Tree[] = [];
  for (const pair of node.items as Pair<Node, Node | null>[]) {
    const keyPlace = placeOf(pair.key) ?? place;
    if (!isScalar(pair.key)) return strangeKey(reader, pair, place);
    const value = toTree(reader, pair.value, [keyPlace[1], keyPlace[1]], depth + 1);
    if (isMergeKey(pair.key)) merged.push(value);
    else addEntry(reader, map, { key: pair.key.source ?? "", keyPlace, value });
  }
  for (const from of merged) merge(reader, map, from);
  return map;
}

function addEntry(reader: Reader, map: MapTree, entry: Entry): void {
  if (map.entries.has(entry.key)) {
    const message = `\`${entry.key}\` is written twice here`;
    reader.findings.push({ code: "duplicate-key", message, fix: "remove one of them", place: entry.keyPlace });
    return;
  }
  map.entries.set(entry.key, entry);
  map.size += 1 + entry.value.size;
}

/** What the map says itself goes before what is merged into it, and of several merged ones the first. */
function merge(reader: Reader, map: MapTree, from: Tree): void {
  if (from.kind === "wrong") return;
  if (from.kind === "list") {
    for (const item of from.items) merge(reader, map, item);
    return;
  }
  if (from.kind !== "map") {
    wrong(
      reader,
      from.place,
      "bad-merge",
      "`<<` takes a mapping, or a list of them",
      "refer to one by its anchor: *name",
    );
    return;
  }
  for (const entry of from.entries.values()) {
    if (!map.entries.has(entry.key)) map.entries.set(entry.key, entry);
  }
  map.size += from.size;
}

function strangeKey(reader: Reader, pair: Pair<Node, Node | null>, place: Place): Tree {
  if (isMap(pair.key)) {
    const message = "`{` begins a mapping, so `{{ … }}` is no text here";
    return wrong(reader, place, "mapping-for-text", message, "quote this");
  }
  return wrong(reader, placeOf(pair.key) ?? place, "bad-key", "a key is plain text", "quote this");
}

function isMergeKey(key: Scalar): boolean {
  return key.source === "<<" && (key.type === "PLAIN" || key.type === undefined);
}

function placeOf(node: Node | null | undefined): Place | undefined {
  return node?.range ? [node.range[0], node.range[1]] : undefined;
}

function wrong(reader: Reader, place: Place, code: string, message: string, fix?: string): Tree {
  reader.findings.push({ code, message, fix, place });
  return { kind: "wrong", place, size: 1 };
}
