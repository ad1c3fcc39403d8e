/**
 * When the shard must wake. One alarm serves every deadline; it stands while something has one.
 */
import { HEARTBEAT_LIMIT_MS, RESUME_GRACE_MS } from "../../protocol/session.ts";
import type { Committer } from "./committer.ts";
import type { Leases } from "./leases.ts";
import { IDLE_CONNECTION_MS, START_RECORD_MS } from "./limits.ts";
import type { PendingCalls } from "./pending-calls.ts";
import type { Roster } from "./roster.ts";
import type { Waiters } from "./waiters.ts";

export interface TimerParts {
  roster: Roster;
  leases: Leases;
  committer: Committer;
  waiters: Waiters;
  pendingCalls: PendingCalls;
  /** When Postgres last answered; undefined when no connection is open. */
  connectionUsedAt: number | undefined;
  /** When recovery needs attention. */
  recoveryDue: number;
  /** When a session was last heard of. */
  heardAt: (session: string) => number;
}

/** The next moment at which something is due; undefined when nothing ever is. */
export function nextAlarm(parts: TimerParts): number | undefined {
  const { roster, leases, committer, waiters, pendingCalls, connectionUsedAt } = parts;
  let due = Math.min(
    leases.nextDue(START_RECORD_MS),
    committer.nextDue(),
    waiters.nextDue(),
    pendingCalls.nextDue(),
    parts.recoveryDue,
  );
  if (connectionUsedAt !== undefined) due = Math.min(due, connectionUsedAt + IDLE_CONNECTION_MS);
  for (const session of roster.sessions) {
    if (session.closedAt !== undefined) due = Math.min(due, session.closedAt + RESUME_GRACE_MS);
    else if (session.holding.size > 0) {
      due = Math.min(due, parts.heardAt(session.id) + HEARTBEAT_LIMIT_MS);
    }
  }
  return Number.isFinite(due) ? due : undefined;
}
