// What is used of dockerode 5, which brings no types of its own.
declare module "dockerode" {
  import type { Readable } from "node:stream";

  type Options = Record<string, unknown> & { abortSignal?: AbortSignal };

  export interface Info {
    ID: string;
    Architecture: string;
    OSType: string;
    Driver: string;
    ServerVersion: string;
    SecurityOptions: string[] | null;
    Plugins: { Log: string[] | null };
    MemoryLimit: boolean;
    PidsLimit: boolean;
    CpuCfsQuota: boolean;
  }

  export interface ImageInfo {
    Id: string;
    RepoDigests: string[] | null;
    Architecture: string;
    Os: string;
    Config: { User?: string } | null;
  }

  export interface ContainerInfo {
    Id: string;
    Name: string;
    Config: { Labels: Record<string, string> | null };
    State: {
      Status: string;
      Running: boolean;
      Paused: boolean;
      OOMKilled: boolean;
      ExitCode: number;
      Error: string;
      StartedAt: string;
      FinishedAt: string;
    };
  }

  export interface Container {
    id: string;
    inspect(options?: Options): Promise<ContainerInfo>;
    start(options?: Options): Promise<unknown>;
    attach(options: Options): Promise<Readable>;
    logs(options: Options): Promise<Readable>;
    wait(options?: Options): Promise<{ StatusCode: number }>;
    kill(options?: Options): Promise<unknown>;
    pause(options?: Options): Promise<unknown>;
    unpause(options?: Options): Promise<unknown>;
    remove(options?: Options): Promise<unknown>;
    exec(options: Options): Promise<{ start(options: Options): Promise<Readable> }>;
    getArchive(options: Options): Promise<Readable>;
  }

  export interface Image {
    inspect(options?: Options): Promise<ImageInfo>;
    tag(options: Options): Promise<unknown>;
    push(options: Options): Promise<Readable>;
    remove(options: Options): Promise<unknown>;
  }

  export interface Network {
    id: string;
    inspect(options?: Options): Promise<{ Id: string; Labels: Record<string, string> | null }>;
    remove(options?: Options): Promise<unknown>;
  }

  export default class Docker {
    constructor(options?: Record<string, unknown>);
    ping(options?: Options): Promise<unknown>;
    version(options?: Options): Promise<{ Version: string; Components?: { Name: string }[] }>;
    info(options?: Options): Promise<Info>;
    getImage(name: string): Image;
    createImage(auth: object, options: Options): Promise<Readable>;
    loadImage(file: unknown): Promise<Readable>;
    importImage(file: unknown, options: Options): Promise<Readable>;
    createContainer(options: Options): Promise<Container>;
    getContainer(id: string): Container;
    createNetwork(options: Options): Promise<Network>;
    getNetwork(id: string): Network;
    listContainers(
      options?: Options,
    ): Promise<{ Id: string; Names: string[]; Labels: Record<string, string>; State: string }[]>;
    listNetworks(options?: Options): Promise<{ Id: string; Name: string; Labels: Record<string, string> }[]>;
  }
}
