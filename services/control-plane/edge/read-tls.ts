import { readFileSync } from "node:fs";

export interface TlsFiles {
  certPath?: string | undefined;
  keyPath?: string | undefined;
  /** Who may sign the other end's certificate; given, and it must show one. */
  caPath?: string | undefined;
}

export interface TlsPem {
  cert: Buffer;
  key: Buffer;
  ca?: Buffer;
}

/** Reads certificate and key; undefined when neither is named. Throws one line that says what is missing. */
export function readTls(files: TlsFiles, port: string): TlsPem | undefined {
  const { certPath, keyPath, caPath } = files;
  if (!certPath && !keyPath && !caPath) return undefined;
  if (!certPath || !keyPath) throw new Error(`TLS of the ${port} needs both a certificate and its key`);
  return {
    cert: read(certPath, port),
    key: read(keyPath, port),
    ...(caPath ? { ca: read(caPath, port) } : {}),
  };
}

function read(path: string, port: string): Buffer {
  try {
    return readFileSync(path);
  } catch (reason) {
    throw new Error(`a TLS file of the ${port} can't be read: ${(reason as Error).message}`);
  }
}
