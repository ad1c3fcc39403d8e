/** `cloudflare:workers` for the simulation: the class that a Durable Object extends. */

export class DurableObject<Env = unknown> {
  readonly ctx: unknown;
  readonly env: Env;

  constructor(context: unknown, env: Env) {
    this.ctx = context;
    this.env = env;
  }
}
