/**
 * The steps one evaluation may still take. Everything whose cost grows with the data takes its price
 * from here before it is done, so the amount of work is a matter of sizes, not of luck.
 */
import { Refusal } from "./errors.ts";
import { MAX_STEPS } from "./limits.ts";

/** Made once: an expression that catches it in a loop would else make thousands. */
const TOO_MUCH_WORK = new Refusal(
  "too_much_work",
  `The evaluation would take more than ${MAX_STEPS} steps on this data. ` +
    "Look at shorter lists and texts, or move this to a step.",
);

export class Allowance {
  #left = MAX_STEPS;

  refill(): void {
    this.#left = MAX_STEPS;
  }

  spend(steps: number): void {
    this.#left -= steps;
    this.check();
  }

  /** Also called at the end: `||` and macros absorb errors, but this one is final. */
  check(): void {
    if (!(this.#left >= 0)) throw TOO_MUCH_WORK;
  }
}
