/**
 * What a webhook makes of a delivery: the key and the scope of its event. Checked when the webhook is
 * stored, evaluated for each delivery. The same names for both.
 */
import type { Json } from "../protocol/json.ts";
import type { ExpressionCache } from "./cache.ts";
import type { Signature } from "./compile.ts";
import type { Evaluation } from "./expression.ts";

export const DELIVERY_TEXT = {
  variables: { headers: "any", body: "any" },
  result: "string",
} as const satisfies Signature;

/** What the texts are over. */
export interface DeliveryData {
  /** By their names in small letters. */
  headers: { [name: string]: string };
  body: Json;
}

export function evaluateDelivery(
  texts: ExpressionCache<"string">,
  source: string,
  { headers, body }: DeliveryData,
): Evaluation<"string"> {
  const compiled = texts.compile(source);
  return compiled.ok ? compiled.expression.evaluate({ headers, body }) : compiled;
}
