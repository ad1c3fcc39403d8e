/**
 * One sentence about a delivery that carries no text, from who did what where. Pure.
 */
import { type Delivery, whereabouts } from "./text.ts";

/** The sentence: `Codertocat: star created in Codertocat/Hello-World`. */
export function summarise(kind: string, delivery: Delivery): string {
  const who = delivery.sender?.login ?? "GitHub";
  const what = [kind, delivery.action].filter(Boolean).join(" ").replaceAll("_", " ");
  const where = whereabouts(delivery);
  return where === who ? `${who}: ${what}` : `${who}: ${what} in ${where}`;
}
