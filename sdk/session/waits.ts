/**
 * One attempt's waits for its children. While any is open the attempt has no slot and its time stands
 * still; before the last one ends, the shard has given it its slot and its permits again. It knows
 * nothing of children.
 */
import type { ReturnedFrame } from "../../protocol/session.ts";
import type { Attempt } from "./attempt.ts";

export class Waits {
  readonly #attempt: Attempt;
  #open = 0;
  #hasSlot = true;
  /** The wait that the shard was told of last. */
  #number = 0;
  /** Ends of waits that a slot is needed for. */
  #ends: (() => void)[] = [];

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
    attempt.whenOver(() => this.#stayAway()); // It is to end soon, not in its turn.
  }

  /** The handler waits. Only the first of several at once makes a difference. */
  begin(): void {
    this.#open += 1;
    if (this.#ends.length > 0) {
      this.#stayAway(); // It waits again before it had a slot: it needs none now.
    } else if (!this.#hasSlot || !this.#attempt.slots.leave(this.#attempt)) {
      return;
    }
    this.#hasSlot = false;
    this.#number += 1;
    this.#attempt.deadline.stop();
    this.#say();
  }

  /** A wait is over: `end` is called now if others are open, else once the attempt may go on. */
  end(end: () => void): void {
    this.#open -= 1;
    if (this.#open > 0 || this.#hasSlot || this.#attempt.isOver) {
      end();
      return;
    }
    this.#ends.push(end);
    this.#say();
  }

  /** The shard has given it its slot again; on this machine there will be one, if not yet. */
  returned({ wait, timeoutMs }: ReturnedFrame): void {
    if (wait !== this.#number || this.#ends.length === 0 || this.#hasSlot) return;
    this.#attempt.deadline.goOn(timeoutMs);
    this.#attempt.slots.takeAgain(this.#attempt, () => {
      this.#hasSlot = true;
      this.#letEnd();
    });
  }

  /** Says again, on a new socket, whether it waits. */
  repeat(): void {
    if (!this.#hasSlot) this.#say();
  }

  #say(): void {
    const { route, refText } = this.#attempt;
    const isReturning = this.#ends.length > 0;
    route.send(
      isReturning
        ? `{"type":"return",${refText},"wait":${this.#number}}`
        : `{"type":"waiting",${refText}}`,
    );
  }

  #stayAway(): void {
    if (this.#ends.length === 0) return;
    this.#attempt.slots.stayAway(this.#attempt);
    this.#letEnd();
  }

  #letEnd(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}
