import { usage } from "../exit-codes.ts";

export interface RuleOptions {
  days?: string;
  builds?: string;
  size?: string;
}

export interface Rules {
  days?: number;
  builds?: number;
  bytes?: bigint;
}

const UNITS = { "": 1n, KiB: 1n << 10n, MiB: 1n << 20n, GiB: 1n << 30n, TiB: 1n << 40n };

/** The rules that are given; what is left out is left out. */
export function readRules({ days, builds, size }: RuleOptions): Rules {
  return {
    ...(days === undefined ? {} : { days: readCount("--days", days) }),
    ...(builds === undefined ? {} : { builds: readCount("--builds", builds) }),
    ...(size === undefined ? {} : { bytes: readSize(size) }),
  };
}

function readCount(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw usage(`${option} ${JSON.stringify(text)} is not a number from 0.`);
  return Number(text);
}

function readSize(text: string): bigint {
  const match = /^(\d{1,12}) ?([KMGT]iB)?$/.exec(text);
  if (!match) throw usage(`--size ${JSON.stringify(text)} is not a size like 20GiB, 500MiB or plain bytes.`);
  return BigInt(match[1] as string) * UNITS[(match[2] ?? "") as keyof typeof UNITS];
}
