/**
 * Somebody's endpoint, as the Worker reaches it by `fetch`: what is sent to it is received by the test, and
 * it answers as it was told. Everything else that is fetched goes its way. The two sides are in requests of
 * their own, and the platform lets none of them resolve a promise of the other: they look, as `traffic` does.
 */
import { vi } from "vitest";

const PATIENCE_MS = 15_000; // real time until something that never comes fails the test

/** Looks until there is something to see. */
export async function seen<Thing>(
  what: string,
  look: () => Thing | undefined | Promise<Thing | undefined>,
): Promise<Thing> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const thing = await look();
    if (thing !== undefined) return thing;
    if (performance.now() > deadline) throw new Error(`${what} has not come`);
    await scheduler.wait(1);
  }
}

export interface Received {
  headers: Headers;
  body: string;
}

export class FakeEndpoint {
  readonly url = `https://endpoint-${crypto.randomUUID()}.test/hook`;
  /** The next answers' statuses; then 204. */
  readonly answers: number[] = [];
  #received: Received[] = [];
  #isHeld = false;
  #spy: { mockRestore(): void };

  constructor() {
    const real = globalThis.fetch.bind(globalThis);
    this.#spy = vi.spyOn(globalThis, "fetch").mockImplementation(async (target, init) => {
      const request = new Request(target, init);
      if (request.url !== this.url) return await real(target, init);
      this.#received.push({ headers: request.headers, body: await request.text() });
      while (this.#isHeld) await scheduler.wait(1);
      const status = this.answers.shift() ?? 204;
      const headers = status === 302 ? { location: "https://elsewhere.test/" } : {};
      return new Response(null, { status, headers });
    });
  }

  /** What was sent to it next. */
  async receive(): Promise<Received> {
    return await seen("A delivery", () => this.#received.shift());
  }

  /** It answers nothing until what this gives is called. */
  hold(): () => void {
    this.#isHeld = true;
    return () => {
      this.#isHeld = false;
    };
  }

  close(): void {
    this.#spy.mockRestore();
  }
}
