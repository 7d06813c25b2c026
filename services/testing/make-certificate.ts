import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

export interface Certificate {
  /** PEM. */
  cert: string;
  key: string;
}

export interface Authority extends Certificate {
  issue(name: string): Certificate;
}

/** A certificate authority for one test, and certificates of it for `localhost` and 127.0.0.1 (RFC 5280). */
export function makeAuthority(name: string): Authority {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = { name, key: keys.privateKey };
  return {
    cert: certify(name, keys.publicKey, issuer, true),
    key: pem(keys.privateKey),
    issue(subject) {
      const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return { cert: certify(subject, own.publicKey, issuer, false), key: pem(own.privateKey) };
    },
  };
}

function pem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }) as string;
}

const ECDSA_WITH_SHA256 = "06082a8648ce3d040302";
const COMMON_NAME = "0603550403";
const BASIC_CONSTRAINTS = "0603551d13";
const ALTERNATIVE_NAME = "0603551d11";

function certify(
  subject: string,
  publicKey: KeyObject,
  issuer: { name: string; key: KeyObject },
  authority: boolean,
): string {
  const algorithm = der(0x30, hex(ECDSA_WITH_SHA256));
  const extensions = authority
    ? [extension(BASIC_CONSTRAINTS, der(0x30, der(0x01, Buffer.from([0xff]))))]
    : [
        extension(
          ALTERNATIVE_NAME,
          der(0x30, der(0x82, Buffer.from("localhost")), der(0x87, Buffer.from([127, 0, 0, 1]))),
        ),
      ];
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), createHash("sha256").update(randomBytes(16)).digest().subarray(0, 8)])),
    algorithm,
    nameOf(issuer.name),
    der(0x30, time(-1), time(1)),
    nameOf(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(0x30, ...extensions)),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign("sha256", body, issuer.key)]);
  const base64 = der(0x30, body, algorithm, der(0x03, signature)).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.match(/.{1,64}/g)?.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** One value in DER: tag, length, content. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content);
  if (bytes.length < 128) return Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
  const length = hex(bytes.length.toString(16).padStart(bytes.length > 0xff ? 4 : 2, "0"));
  return Buffer.concat([Buffer.from([tag, 0x80 + length.length]), length, bytes]);
}

function hex(text: string): Buffer {
  return Buffer.from(text, "hex");
}

function nameOf(commonName: string): Buffer {
  return der(0x30, der(0x31, der(0x30, hex(COMMON_NAME), der(0x0c, Buffer.from(commonName)))));
}

function extension(id: string, value: Buffer): Buffer {
  return der(0x30, hex(id), der(0x04, value));
}

function time(daysFromNow: number): Buffer {
  const at = new Date(Date.now() + daysFromNow * 86_400_000).toISOString();
  return der(0x17, Buffer.from(`${at.slice(2, 19).replace(/[-:T]/g, "")}Z`));
}
