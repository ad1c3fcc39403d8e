/**
 * Bodies of the HTTP API about notifications: who is told of runs that have ended, and what they are told.
 */
import type { TaskError } from "./errors.ts";
import type { RunSummary } from "./http.ts";

/** States in which a run can end. */
export type EndState = "completed" | "failed" | "cancelled";

export interface PutNotification {
  /** Where it is sent to, by POST: `https:`, or `http:` of this very machine. */
  url: string;
  /** Of runs that end so. Default `["failed"]`. */
  on?: EndState[];
  /** Of runs of these workflows. Default of all, but for children, whose parents are told. */
  workflows?: string[];
  /**
   * What signs it, in Standard Webhooks' form, `whsec_` and base64; one or, while one takes the place of
   * another, two. Default those that are stored; of a new notification one that is made for it.
   */
  secrets?: string[];
}

export interface Notification extends Required<Pick<PutNotification, "url" | "on">> {
  name: string;
  /** Null: of all, but for children. */
  workflows: string[] | null;
  /** Since when it is told nothing, because its endpoint has answered that it is gone; else null. */
  goneAt: string | null;
  createdAt: string;
  updatedAt: string;
}

/** The answer to a `PUT`. Its secret is told once, when it is made. */
export interface StoredNotification extends Notification {
  secret?: string;
}

/** What an endpoint is sent, as JSON, with the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. */
export interface NotificationBody {
  type: `run.${EndState}`;
  /** When the run ended. */
  timestamp: string;
  data: RunSummary & { error: (TaskError & { step: string | null }) | null };
}
