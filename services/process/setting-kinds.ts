import { resolve } from "node:path";
import type { Setting } from "./read-settings.ts";

type Described = { help: string; shownDefault?: string; secret?: boolean };

/** Any text; undefined when nobody says. */
export function optionalText(name: string, about: Described): Setting<string | undefined> {
  return { name, fallback: undefined, parse: (text) => text, ...about };
}

export function text(name: string, fallback: string, about: Described): Setting<string> {
  return { name, fallback, parse: (given) => given, ...about };
}

/** One of a few words. */
export function choice<T extends string>(
  name: string,
  fallback: T,
  choices: readonly T[],
  about: Described,
): Setting<T> {
  return {
    name,
    fallback,
    parse(given) {
      const found = choices.find((c) => c === given);
      if (found === undefined) throw new Error(`${JSON.stringify(given)} is not one of ${choices.join(", ")}`);
      return found;
    },
    ...about,
  };
}

export function boolean(name: string, fallback: boolean, about: Described): Setting<boolean> {
  return {
    name,
    fallback,
    parse(given) {
      if (given === "true" || given === "1") return true;
      if (given === "false" || given === "0") return false;
      throw new Error(`${JSON.stringify(given)} is neither true nor false`);
    },
    ...about,
  };
}

export function integer(
  name: string,
  fallback: number,
  range: { min: number; max: number },
  about: Described,
): Setting<number> {
  return {
    name,
    fallback,
    parse(given) {
      const value = /^\d{1,15}$/.test(given) ? Number(given) : Number.NaN;
      if (!(value >= range.min && value <= range.max)) {
        throw new Error(`${JSON.stringify(given)} is not a whole number from ${range.min} to ${range.max}`);
      }
      return value;
    },
    ...about,
  };
}

/** A folder or file, made absolute from where the process started. */
export function path(name: string, fallback: string, about: Described): Setting<string> {
  return { name, fallback: resolve(fallback), shownDefault: fallback, parse: (given) => resolve(given), ...about };
}

export function optionalPath(name: string, about: Described): Setting<string | undefined> {
  return { name, fallback: undefined, parse: (given) => resolve(given), ...about };
}

export interface ListenAddress {
  host: string;
  port: number;
}

/** `host:port`, `[::1]:port` or `:port` for every address; port 0 takes a free one. */
export function listenAddress(name: string, fallback: string, about: Described): Setting<ListenAddress> {
  return { name, fallback: parseListen(fallback), shownDefault: fallback, parse: parseListen, ...about };
}

function parseListen(given: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]*)):(\d{1,5})$/.exec(given);
  const port = Number(match?.[3]);
  if (!match || port > 65535) throw new Error(`${JSON.stringify(given)} is not an address like 127.0.0.1:7480`);
  return { host: match[1] ?? (match[2] || "::"), port };
}

/** Where a PostgreSQL is, as its clients write it. */
export function optionalPostgresUrl(name: string, about: Described): Setting<string | undefined> {
  return {
    name,
    fallback: undefined,
    parse(given) {
      if (!URL.canParse(given) || !/^postgres(ql)?:$/.test(new URL(given).protocol)) {
        // Without the value, which has a password in it.
        throw new Error("is not an address like postgres://user:password@host:5432/name");
      }
      return given;
    },
    ...about,
  };
}

/** An http or https address without a path. */
export function optionalUrl(name: string, about: Described): Setting<string | undefined> {
  return {
    name,
    fallback: undefined,
    parse(given) {
      if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)) {
        throw new Error(`${JSON.stringify(given)} is not an address like https://ritmo.example.com`);
      }
      return given.replace(/\/+$/, "");
    },
    ...about,
  };
}
