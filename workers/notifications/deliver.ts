/**
 * One attempt to tell an endpoint that a run has ended: by POST, signed, and with no more patience than an
 * attempt has.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { endNotification, readNotification, readRunEnd } from "../../database/notifications.ts";
import { connectReads } from "../../database/reads.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import type { TaskError } from "../../protocol/errors.ts";
import type { Json } from "../../protocol/json.ts";
import type { EndState, NotificationBody } from "../../protocol/notification-bodies.ts";
import type { Environment } from "../environment.ts";
import { signedHeaders } from "./sign.ts";

/** An endpoint answers within so long, or it has not been told. */
export const ANSWER_LIMIT_MS = 15_000;

const GONE = 410;

export interface Delivery {
  tenant: string;
  /** The run that delivers: its id is the message's, whichever attempt it is. */
  run: string;
  input: Json;
}

export type DeliveryOutcome = { output: Json } | { error: TaskError };

export async function deliver(
  env: Environment,
  { tenant, run: id, input }: Delivery,
): Promise<DeliveryOutcome> {
  const { notification = "", run = "" } = (input ?? {}) as { notification?: string; run?: string };
  const [endpoint, end] = await Promise.all([
    readNotification(queryOverHttp(databaseOf(env, tenant)), tenant, notification),
    readRunEnd(connectReads(databaseOf(env, tenant)), tenant, run),
  ]);
  if (endpoint === undefined) return final(`There is no notification "${notification}" any more.`);
  if (end === undefined) return final(`There is no run ${run} any more.`);
  const message: NotificationBody = {
    type: `run.${end.state as EndState}`,
    timestamp: end.finishedAt ?? end.createdAt,
    data: end,
  };
  const body = JSON.stringify(message);
  const timestamp = Math.floor(Date.now() / 1_000);
  const headers = await signedHeaders(endpoint.secrets, { id, timestamp, body });
  const status = await post(endpoint.url, body, headers);
  if (typeof status === "string") return failed(`The endpoint could not be reached: ${status}.`);
  if (status >= 200 && status < 300) return { output: { status } };
  if (status === GONE) {
    await endNotification(queryOverHttp(databaseOf(env, tenant)), tenant, notification);
    return final(
      "The endpoint has answered 410: it is gone. Store the notification again to resume.",
    );
  }
  return failed(`The endpoint has answered ${status}. It is told by any status from 200 to 299.`);
}

/** The status; or why there is none. */
async function post(
  url: string,
  body: string,
  headers: Record<string, string>,
): Promise<number | string> {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": "Skein", ...headers },
      body,
      redirect: "manual", // what is signed is for this address
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    await answer.body?.cancel();
    return answer.status;
  } catch (error) {
    if (error instanceof Error && error.name === "TimeoutError") {
      return `it has not answered within ${ANSWER_LIMIT_MS} ms`;
    }
    return error instanceof Error ? error.message : String(error);
  }
}

function failed(message: string): { error: TaskError } {
  return { error: { code: "handler_error", name: "NotDelivered", message } };
}

/** Another attempt could not do better. */
function final(message: string): { error: TaskError } {
  return { error: { ...failed(message).error, isRetryable: false } };
}
