/**
 * Who handles messages, by their kind. A handler's effect and the removal of the message are one commit, and
 * handlers commute: whatever the order of two messages, the end is the same.
 */
import type { HandleMessages } from "../../messages/consume.ts";
import type { Environment } from "../environment.ts";
import { publishAccepted } from "./publish-accepted.ts";

export type MessageHandler = (
  env: Environment,
  ...words: Parameters<HandleMessages>
) => ReturnType<HandleMessages>;

export const MESSAGE_HANDLERS = new Map<string, MessageHandler>([["event", publishAccepted]]);

export function handlersOf(env: Environment): (kind: string) => HandleMessages | undefined {
  return (kind) => {
    const handle = MESSAGE_HANDLERS.get(kind);
    return handle && ((tenant, messages) => handle(env, tenant, messages));
  };
}
