/**
 * Checks the expressions of a webhook when it is stored. Pure.
 */
import { compileExpression } from "../../expressions/compile.ts";
import { DELIVERY_TEXT } from "../../expressions/delivery-expressions.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { WebhookDefinition } from "../../protocol/webhook-bodies.ts";
import { expressionFinding } from "../definitions/expression-errors.ts";

/** Everything that is wrong with them, each with its place in the webhook and in the expression. */
export function checkWebhook(webhook: WebhookDefinition): FieldError[] {
  return (["eventKey", "scope"] as const).flatMap((field) => {
    const source = webhook[field];
    if (source === undefined) return [];
    const compiled = compileExpression(source, DELIVERY_TEXT);
    return compiled.ok ? [] : [expressionFinding(field, compiled.error)];
  });
}
