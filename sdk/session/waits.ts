/**
 * One attempt's waits for its children. While any is open the attempt has no slot and its time
 * stands still; before the last one ends, it has a slot again. It knows nothing of children.
 */
import type { Attempt } from "./attempt.ts";

export class Waits {
  readonly #attempt: Attempt;
  #open = 0;
  #hasSlot = true;
  /** The shard has been told of a wait: it must hear of every change. */
  #isKnown = false;
  /** Ends of waits that a slot is needed for. */
  #ends: (() => void)[] = [];

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
    attempt.whenOver(() => this.#endWithoutSlot()); // It is to end soon, not in its turn.
  }

  /** The handler waits. Only the first of several at once makes a difference. */
  begin(): void {
    this.#open += 1;
    this.#endWithoutSlot(); // It waits again before it had a slot: it needs none now.
    if (!this.#hasSlot || !this.#attempt.slots.leave(this.#attempt)) return;
    this.#hasSlot = false;
    this.#isKnown = true;
    this.#attempt.deadline.stop();
    this.#say();
  }

  /** A wait is over: `end` is called now if others are open, else once there is a slot. */
  end(end: () => void): void {
    this.#open -= 1;
    if (this.#open > 0 || this.#hasSlot || this.#attempt.isOver) {
      end();
      return;
    }
    this.#ends.push(end);
    this.#attempt.slots.takeAgain(this.#attempt, () => {
      this.#hasSlot = true;
      this.#attempt.deadline.goOn();
      this.#say();
      this.#letEnd();
    });
  }

  /** Says again, on a new socket, whether it waits. */
  repeat(): void {
    if (this.#isKnown) this.#say();
  }

  #say(): void {
    const { route, refText } = this.#attempt;
    route.send(`{"type":"${this.#hasSlot ? "working" : "waiting"}",${refText}}`);
  }

  #endWithoutSlot(): void {
    if (this.#ends.length === 0) return;
    this.#attempt.slots.stayAway(this.#attempt);
    this.#letEnd();
  }

  #letEnd(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}
