import { accessSync, constants } from "node:fs";
import type { Config } from "./config.ts";

/** What is wrong between settings that are each well formed, one line each. */
export function findContradictions(values: Partial<Config>): string[] {
  return [...storeFaults(values), ...tlsFaults(values), ...fileFaults(values)];
}

/** What a server lacks that brings nothing of its own. */
export function findMissing(values: Partial<Config>): string[] {
  const database = "RITMO_DATABASE_URL: is missing; it names your PostgreSQL (`npm start` brings one of its own)";
  const store = "RITMO_S3_ENDPOINT: is missing, and RITMO_BLOB_DIR too; one of them says where logs and artifacts go";
  return [
    ...(values.databaseUrl === undefined ? [database] : []),
    ...(values.blobDir === undefined && !s3Begun(values) ? [store] : []),
  ];
}

function s3Needs(values: Partial<Config>): [string, string | undefined][] {
  return [
    ["RITMO_S3_ENDPOINT", values.s3Endpoint],
    ["RITMO_S3_BUCKET", values.s3Bucket],
    ["RITMO_S3_ACCESS_KEY_ID", values.s3AccessKeyId],
    ["RITMO_S3_SECRET_ACCESS_KEY", values.s3SecretAccessKey],
  ];
}

function s3Begun(values: Partial<Config>): boolean {
  return values.s3PublicEndpoint !== undefined || s3Needs(values).some(([, value]) => value !== undefined);
}

function storeFaults(values: Partial<Config>): string[] {
  if (!s3Begun(values)) return [];
  if (values.blobDir !== undefined) {
    return ["RITMO_BLOB_DIR: is set, and RITMO_S3_* too; logs and artifacts lie in one place, so remove one"];
  }
  return s3Needs(values).flatMap(([name, value]) =>
    value === undefined ? [`${name}: is missing; RITMO_S3_* is half set`] : [],
  );
}

function tlsFaults(values: Partial<Config>): string[] {
  const pairs = [
    ["RITMO_TLS_CERT", values.tlsCert, "RITMO_TLS_KEY", values.tlsKey],
    ["RITMO_WORKER_TLS_CERT", values.workerTlsCert, "RITMO_WORKER_TLS_KEY", values.workerTlsKey],
  ] as const;
  const halves = pairs.flatMap(([certName, cert, keyName, key]) => {
    if ((cert === undefined) === (key === undefined)) return [];
    const [there, missing] = cert === undefined ? [keyName, certName] : [certName, keyName];
    return [`${missing}: is missing; ${there} needs it`];
  });
  const bare = values.workerTlsCa !== undefined && values.workerTlsCert === undefined;
  return bare ? [...halves, "RITMO_WORKER_TLS_CERT: is missing; RITMO_WORKER_TLS_CA needs it"] : halves;
}

function fileFaults(values: Partial<Config>): string[] {
  const files = [
    ["RITMO_TLS_CERT", values.tlsCert],
    ["RITMO_TLS_KEY", values.tlsKey],
    ["RITMO_WORKER_TLS_CERT", values.workerTlsCert],
    ["RITMO_WORKER_TLS_KEY", values.workerTlsKey],
    ["RITMO_WORKER_TLS_CA", values.workerTlsCa],
    ["RITMO_GIT_CREDENTIALS", values.gitCredentials],
  ] as const;
  return files.flatMap(([name, path]) => {
    if (path === undefined) return [];
    try {
      accessSync(path, constants.R_OK);
      return [];
    } catch (reason) {
      return [`${name}: the file can't be read: ${(reason as Error).message}`];
    }
  });
}
