/** Chance that a seed decides: the same seed, the same soup. */
export interface Random {
  /** From 0 on, below 1. */
  next(): number;
  /** A whole number, both ends among them. */
  between(least: number, most: number): number;
  pick<T>(items: readonly T[]): T;
  /** True in so many cases out of one. */
  chance(share: number): boolean;
}

/** Mulberry32, by Tommy Ettinger (public domain): small, and good enough to stir a soup. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  return {
    next,
    between,
    pick: (items) => items[between(0, items.length - 1)] as (typeof items)[number],
    chance: (share) => next() < share,
  };
}
