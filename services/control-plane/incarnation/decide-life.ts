/** What the database says of itself. */
export interface DatabaseLife {
  installation: string;
  /** Of this life. */
  id: string;
  number: number;
  beats: number;
  /** It is somewhere else than when this life began. */
  moved: boolean;
}

/** What was seen of a database before: by this process, or as it is written in the object store. */
export type SeenLife = Pick<DatabaseLife, "installation" | "number" | "beats"> & { id?: string };

export type LifeVerdict =
  | { kind: "same" }
  /** Another Ritmo's. */
  | { kind: "foreign" }
  /** Restored to an earlier moment, or to a place of which nobody knows what it missed. */
  | { kind: "restored"; because: string };

/** Whether the database goes on with the life that was seen, or was restored. Pure. */
export function decideLife(now: DatabaseLife, seen: SeenLife | undefined): LifeVerdict {
  if (seen && seen.installation !== now.installation) return { kind: "foreign" };
  const restored = (because: string): LifeVerdict => ({ kind: "restored", because });
  if (now.moved) return restored("it is in another place than before: loaded, recovered, promoted or copied");
  if (!seen) return { kind: "same" };
  if (now.number < seen.number)
    return restored(`it is in its life ${now.number} and was in life ${seen.number} before`);
  if (now.number > seen.number) return { kind: "same" };
  if (seen.id !== undefined && seen.id !== now.id) return restored("it has another life of the same number");
  if (now.beats < seen.beats) return restored(`it is at its beat ${now.beats} and was at ${seen.beats} before`);
  return { kind: "same" };
}
