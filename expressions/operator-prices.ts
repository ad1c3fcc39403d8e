/**
 * What operators and loops cost on the data they are given. Comparisons are walked along with, as far
 * as they could go, and pay as they are walked.
 */
import type { Allowance } from "./allowance.ts";
import { CHARACTERS, ELEMENTS, isMap, keyPrice, lengthOf, sizePrice } from "./prices.ts";

/** `+` writes both again. */
export function spendOnSum(left: unknown, right: unknown, allowance: Allowance): void {
  allowance.spend(sizePrice(left) + sizePrice(right));
}

/** `<` reads two texts as far as they agree. */
export function spendOnOrder(left: unknown, right: unknown, allowance: Allowance): void {
  allowance.spend(Math.min(lengthOf(left), lengthOf(right)) / CHARACTERS);
}

/** `perElement` is what is done with each element or key. */
export function spendOnLoop(items: unknown, perElement: number, allowance: Allowance): void {
  if (Array.isArray(items)) {
    allowance.spend(items.length * perElement);
    return;
  }
  const keys = keyPrice(items);
  allowance.spend(keys + keys * perElement);
}

/** `==` goes on until it finds a difference: the price is for finding none. */
export function spendOnComparison(left: unknown, right: unknown, allowance: Allowance): void {
  if (Array.isArray(left) && Array.isArray(right)) {
    if (left === right || left.length !== right.length) return;
    allowance.spend(left.length / ELEMENTS);
    for (const [index, value] of left.entries()) spendOnComparison(value, right[index], allowance);
  } else if (isMap(left) && isMap(right)) {
    if (left === right) return;
    allowance.spend(keyPrice(left) + keyPrice(right));
    for (const key of Object.keys(left)) spendOnComparison(left[key], right[key], allowance);
  } else {
    const length = lengthOf(left);
    if (length > CHARACTERS && length === lengthOf(right)) allowance.spend(length / CHARACTERS);
  }
}

/** `in` compares with every element of a list; in a map it looks a key up. */
export function spendOnMembership(value: unknown, list: unknown, allowance: Allowance): void {
  if (!Array.isArray(list)) return;
  allowance.spend(list.length / ELEMENTS);
  if (typeof value !== "string" && typeof value !== "object") return;
  for (const element of list) spendOnComparison(value, element, allowance);
}
