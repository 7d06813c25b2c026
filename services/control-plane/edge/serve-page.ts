import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { answerJson } from "./answer-plainly.ts";
import type { HttpHandler } from "./serve-connect.ts";

const PAGE = new URL("../../../web/index.html", import.meta.url);

/** The page at `/`. Its script and style are named by their hashes, so that nothing else in it could ever run. */
export function servePage(): HttpHandler {
  const html = readFileSync(PAGE, "utf8");
  const policy = [
    "default-src 'none'",
    `script-src ${hashesOf(html, "script")}`,
    `style-src ${hashesOf(html, "style")}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return (request, response) => {
    if ((request.url ?? "").split("?", 1)[0] !== "/") return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      answerJson(response, 405, "unimplemented", "this page can only be read");
      return true;
    }
    response.setHeader("content-security-policy", policy);
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-length": Buffer.byteLength(html) });
    response.end(request.method === "HEAD" ? undefined : html);
    return true;
  };
}

function hashesOf(html: string, tag: string): string {
  const bodies = [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, "g"))].map((match) => match[1] ?? "");
  return bodies.map((body) => `'sha256-${createHash("sha256").update(body).digest("base64")}'`).join(" ") || "'none'";
}
