import type { Place } from "./finding.ts";

/** The text as a tree with places: aliases and merges resolved, every scalar as it is spelt. */
export type Tree = TextTree | ListTree | MapTree | NoTree;

interface AnyTree {
  place: Place;
  /** How many nodes it has with every alias written out. */
  size: number;
}
export interface TextTree extends AnyTree {
  kind: "text";
  text: string;
  /** False: it was quoted, or a block. */
  plain: boolean;
}
export interface ListTree extends AnyTree {
  kind: "list";
  items: Tree[];
}
export interface MapTree extends AnyTree {
  kind: "map";
  entries: Map<string, Entry>;
}
export interface NoTree extends AnyTree {
  /** `nothing`: no value is written. `wrong`: there is a finding about it already. */
  kind: "nothing" | "wrong";
}
export interface Entry {
  key: string;
  keyPlace: Place;
  value: Tree;
}

/** The value of a key, or undefined where the tree has none that can be used. */
export function childOf(tree: Tree | undefined, key: string): Tree | undefined {
  return tree?.kind === "map" ? tree.entries.get(key)?.value : undefined;
}

/** The entries of a mapping; none of anything else. */
export function entriesOf(tree: Tree | undefined): Entry[] {
  return tree?.kind === "map" ? [...tree.entries.values()] : [];
}

/** The items of a list, or the one that stands in its place. */
export function itemsOf(tree: Tree | undefined): Tree[] {
  if (!tree || tree.kind === "nothing" || tree.kind === "wrong") return [];
  return tree.kind === "list" ? tree.items : [tree];
}

/** The text of a scalar, as it is spelt. */
export function textOf(tree: Tree | undefined): string | undefined {
  return tree?.kind === "text" ? tree.text : undefined;
}
