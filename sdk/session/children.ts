/**
 * The children of one attempt: asked for, answered, finished. What the shard has not answered, and
 * what has not finished, is asked for again on every socket; the shard knows a child by its key, so
 * nothing is started twice.
 */
import { MAX_SPAWN } from "../../protocol/limits.ts";
import type { ChildFrame, ReturnedFrame, SpawnedFrame } from "../../protocol/session.ts";
import { pieces } from "../bulk.ts";
import { DefinitionError } from "../errors.ts";
import type { Attempt } from "./attempt.ts";
import { Child, type Spawn } from "./child.ts";
import { Waits } from "./waits.ts";

/** Of one `spawn` frame: room for several of the largest inputs, far from a message's own limit. */
const MAX_SPAWN_FRAME = { count: MAX_SPAWN, bytes: 4 * 1024 * 1024 };

export class Children {
  readonly #attempt: Attempt;
  readonly #waits: Waits;
  readonly #children = new Map<string, Child>();
  readonly #keys = new Set<string>();
  readonly #counts = new Map<string, number>();

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
    this.#waits = new Waits(attempt);
    attempt.whenOver((reason) => {
      for (const child of this.#children.values()) child.giveUp(reason);
    });
  }

  /**
   * Takes a key: the one that is given, else `workflow:n`, counted from 1 by workflow. Throws
   * `DefinitionError` for one that is taken.
   */
  claimKey(workflow: string, key = this.#nextKey(workflow)): string {
    if (this.#keys.has(key)) {
      throw new DefinitionError(
        `Step "${this.#attempt.frame.step}" spawns two children with the key ${JSON.stringify(key)}: give each a \`key\` of its own`,
      );
    }
    this.#keys.add(key);
    return key;
  }

  /** Nothing came of this key: it may be used again. */
  freeKey(key: string): void {
    this.#keys.delete(key);
    this.#children.delete(key);
  }

  /**
   * Asks for children, a piece at a time, so that no shard is flooded; resolves once they are runs.
   * The first that can't be one stops the others.
   */
  async spawn(spawns: readonly Spawn[]): Promise<Child[]> {
    const children = spawns.map((spawn) => new Child(spawn, this.#attempt, this.#waits));
    for (const piece of pieces(children, textOf, MAX_SPAWN_FRAME)) {
      for (const child of piece) this.#children.set(child.key, child);
      this.#send(piece);
      await Promise.all(piece.map((child) => child.run));
    }
    return children;
  }

  spawned({ key, run, refusal }: SpawnedFrame): void {
    const child = this.#children.get(key);
    if (refusal !== undefined) child?.refuse(refusal);
    else if (run !== undefined) child?.became(run);
  }

  finished(frame: ChildFrame): void {
    this.#children.get(frame.key)?.finish(frame);
  }

  returned(frame: ReturnedFrame): void {
    this.#waits.returned(frame);
  }

  /** Asks again, on a new socket, and says again whether the handler waits. */
  repeat(): void {
    const unfinished = [...this.#children.values()].filter((child) => child.end === null);
    for (const piece of pieces(unfinished, textOf, MAX_SPAWN_FRAME)) this.#send(piece);
    this.#waits.repeat();
  }

  #send(children: readonly Child[]): void {
    const { route, refText } = this.#attempt;
    route.send(`{"type":"spawn",${refText},"children":[${children.map(textOf).join(",")}]}`);
  }

  #nextKey(workflow: string): string {
    const count = (this.#counts.get(workflow) ?? 0) + 1;
    this.#counts.set(workflow, count);
    return `${workflow}:${count}`;
  }
}

function textOf(child: Child): string {
  return child.text;
}
