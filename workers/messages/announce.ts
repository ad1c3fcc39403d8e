/**
 * Tells the broker what a call has sent. A call that can't is as good: the clock finds it.
 */
import type { SentMessages } from "../../database/message-rows.ts";
import type { MessageQueue } from "../../messages/message-queue.ts";
import { errorFields, type Logger } from "../../telemetry/log.ts";

export async function announceSent(
  queue: MessageQueue,
  log: Logger,
  sent: readonly SentMessages[],
): Promise<void> {
  try {
    await queue.announce(sent);
  } catch (error) {
    log.warn("messages.not_announced", errorFields(error));
  }
}
