import { createHmac, timingSafeEqual } from "node:crypto";
import type { Sql } from "../store/open-database.ts";

/** Signs and reads addresses of downloads, with a key that all replicas share. */
export interface DownloadSigner {
  /** Path and query of an address that holds until then. */
  sign(id: string, expiresAtMs: number): Promise<string>;
  verify(id: string, query: URLSearchParams, nowMs: number): Promise<"good" | "expired" | "forged">;
}

export function downloadSigner(sql: Sql): DownloadSigner {
  let key: Promise<Buffer> | undefined;
  const mac = async (id: string, expires: string) => {
    key ??= readKey(sql).catch((reason: unknown) => {
      key = undefined;
      throw reason;
    });
    return createHmac("sha256", await key)
      .update(`download\n${id}\n${expires}`)
      .digest();
  };
  return {
    async sign(id, expiresAtMs) {
      const expires = String(Math.floor(expiresAtMs / 1000));
      return `/download/${id}?expires=${expires}&sig=${(await mac(id, expires)).toString("base64url")}`;
    },
    async verify(id, query, nowMs) {
      const expires = query.get("expires") ?? "";
      const given = Buffer.from(query.get("sig") ?? "", "base64url");
      const wanted = await mac(id, expires);
      if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return "forged";
      return Number(expires) * 1000 > nowMs ? "good" : "expired";
    },
  };
}

async function readKey(sql: Sql): Promise<Buffer> {
  const [row] = await sql<{ value: Buffer }[]>`SELECT value FROM server_keys WHERE name = 'download_urls'`;
  if (!row) throw new Error("server_keys has no row named download_urls");
  return row.value;
}
