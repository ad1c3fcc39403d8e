/**
 * When the shard must wake. One alarm serves every deadline; it stands while something has one.
 */
import type { Agenda } from "./agenda.ts";
import type { Committer } from "./committer.ts";
import type { Leases } from "./leases.ts";
import { IDLE_CONNECTION_MS } from "./limits.ts";
import type { PendingCalls } from "./pending-calls.ts";
import type { Returns } from "./returns.ts";
import type { Roster } from "./roster.ts";
import type { Turns } from "./turns.ts";
import type { Waiters } from "./waiters.ts";
import type { ReadyWindow } from "./window.ts";

export interface TimerParts {
  roster: Roster;
  leases: Leases;
  committer: Committer;
  waiters: Waiters;
  window: ReadyWindow;
  turns: Turns;
  returns: Returns;
  agenda: Agenda;
  pendingCalls: PendingCalls;
  /** When Postgres was last asked, or answered; undefined when nothing is to be closed. */
  connectionUsedAt: number | undefined;
  /**
   * When recovery needs attention, what is borrowed and lent, what is to be said of or to workers, what keeps the
   * shard open, and who waits for it to be ready.
   */
  recoveryDue: number;
  loansDue: number;
  sessionsDue: number;
  closingDue: number;
  openingDue: number;
  /** When a session was last heard of. */
  heardAt: (session: string) => number;
}

/** The next moment at which something is due; undefined when nothing ever is. */
export function nextAlarm(parts: TimerParts): number | undefined {
  const { roster, leases, committer, window, waiters, pendingCalls, connectionUsedAt } = parts;
  let due = Math.min(
    leases.nextDue(),
    window.nextExpiry(),
    parts.turns.nextOpening(),
    parts.returns.nextOpening,
    // While a commit is on its way, its landing asks for what has expired in the queue.
    committer.flights.size > 0 ? Number.POSITIVE_INFINITY : window.queueExpiry,
    parts.agenda.nextDue(),
    committer.nextDue(),
    waiters.nextDue(),
    pendingCalls.nextDue(),
    parts.recoveryDue,
    parts.loansDue,
    parts.sessionsDue,
    parts.closingDue,
    parts.openingDue,
  );
  if (connectionUsedAt !== undefined) due = Math.min(due, connectionUsedAt + IDLE_CONNECTION_MS);
  for (const session of roster.sessions) {
    if (session.closedAt !== undefined) {
      due = Math.min(due, session.closedAt + session.resumeGraceMs);
    } else if (session.isBusy) {
      due = Math.min(due, parts.heardAt(session.id) + session.heartbeatLimitMs);
    }
  }
  return Number.isFinite(due) ? due : undefined;
}
