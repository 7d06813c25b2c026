// What is used of dockerode 5, which brings no types of its own.
declare module "dockerode" {
  export default class Docker {
    constructor(options?: { timeout?: number });
    version(): Promise<{ Version: string }>;
  }
}
