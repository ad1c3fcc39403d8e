/**
 * What happened in a simulation, line by line: kept as a hash that tells two runs of a seed apart,
 * printed when somebody wants to read it. It also counts what was thrown at the system.
 */
import { hashOf } from "./random.ts";

export class Trace {
  readonly thrown: Record<string, number> = {};
  readonly #startedAt: number;
  readonly #clock: { readonly now: number };
  readonly #print: ((line: string) => void) | undefined;
  #hash = 0;

  constructor(clock: { readonly now: number }, print?: (line: string) => void) {
    this.#clock = clock;
    this.#startedAt = clock.now;
    this.#print = print;
  }

  get isPrinted(): boolean {
    return this.#print !== undefined;
  }

  /** Milliseconds since the simulation began. */
  get elapsedMs(): number {
    return this.#clock.now - this.#startedAt;
  }

  get hash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }

  note(who: string, what: string): void {
    this.#hash = hashOf(`${this.elapsedMs} ${who} ${what}`, this.#hash);
    this.#write(who, what);
  }

  /** For whoever reads the trace; not part of what a seed must repeat. */
  remark(who: string, what: string): void {
    this.#write(who, what);
  }

  /** Something was thrown at the system. */
  throws(kind: string, who: string, what = ""): void {
    this.thrown[kind] = (this.thrown[kind] ?? 0) + 1;
    this.note(who, `✗ ${kind}${what === "" ? "" : `: ${what}`}`);
  }

  #write(who: string, what: string): void {
    this.#print?.(`${(this.elapsedMs / 1000).toFixed(3).padStart(8)}  ${who.padEnd(14)} ${what}`);
  }
}
