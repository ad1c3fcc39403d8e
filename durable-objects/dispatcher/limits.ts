/**
 * The bounds a shard keeps, each with its reason. What workers and clients must know as well is in
 * `protocol/limits.ts`.
 */

import { CANCEL_GRACE_MS } from "../../protocol/session.ts";

/** Transitions in one commit: the gain of larger batches ends here, their latency doesn't. */
export const MAX_BATCH = 1_000;

/** Bytes of JSON in one commit: Postgres parses it in one piece, and a repeat keeps it in memory. */
export const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/**
 * Workers that are let in in a second: each costs some 2 ms of CPU, with what the edge Worker does for it, and
 * those that are there want to be served meanwhile. 2,000 are back in about seven seconds.
 */
export const MAX_HANDSHAKES_PER_SECOND = 500;

/** Milliseconds ahead of the last place in the line of those that connect. */
export const MAX_LINE_MS = 30_000;

/** Workers that are sent away are told of in the log together, once in so long: a line for each would be thousands. */
export const REFUSALS_PERIOD_MS = 5_000;

/**
 * How long after its place a worker that resumes may come, and after its socket closed its session is kept
 * at most, however often it is sent away, in milliseconds.
 */
export const LATE_FOR_PLACE_MS = 6_000;
export const MAX_KEPT_MS = 120_000;

/** Commits in flight. A second one fills the first one's waits; a third only adds lock waits. */
export const MAX_FLIGHTS = 2;

/** Transitions that must wait before a second commit may fly: at rest a batch waits for the first. */
export const SECOND_FLIGHT_AT = 100;

/** Bytes of transitions not yet durable. Beyond it new API calls are refused with 503. */
export const MAX_PENDING_BYTES = 32 * 1024 * 1024;

/** Ready tasks in memory: in all, and in bytes of input and parents' outputs. */
export const MAX_WINDOW = 20_000;
export const MAX_WINDOW_BYTES = 24 * 1024 * 1024;

/** Of these, tasks of one action that need nothing but a slot. */
export const MAX_PLAIN_LANE = 4_000;

/** Of these, tasks of one key: enough for what a key can start between two refills. */
export const MAX_LANE = 16;

/** Tasks that one refill takes from the queue, and from one lane: a few milliseconds of SQL. */
export const MAX_TAKE = 500;

/** Tasks that a refill asks for of one lane, of however many: one to start, and one to follow it. */
export const MIN_LANE_TAKE = 2;

/** Lanes that are known to have tasks in the queue. Others are read when there are fewer than half. */
export const MAX_KNOWN_LANES = 30_000;

/** Lanes whose tasks were cancelled, before those are looked for that still stand in a line. */
export const MAX_EMPTIED_LANES = 5_000;

/** Tasks that are parked in one turn: as many as one commit carries. */
export const MAX_PARK = 500;

/** Lanes that one look at the queue lists. */
export const LANE_PAGE = 1_000;

/** Turns of higher priorities that a lower one lets pass before it has one. */
export const MAX_PASSED_OVER = 10;

/**
 * Workers that are asked at once for slots that they have at other shards. Each is a frame, and a worker that hears of
 * more than it can help with divides its slots for nothing; a millisecond of sending is enough for one turn.
 */
export const MAX_WANTS = 200;

/** So many are asked at first in any case: what a few have may all be in use. */
export const MIN_WANTS = 16;

/** The slots that those have elsewhere who are asked, for each that is wanted: three in four may be in use there. */
export const WANT_COVER = 4;

/** More are asked, twice as many each time, when tasks have waited for so long: a worker has answered by then. */
export const WANT_ROUND_MS = 250;

/** Buckets in memory before those that are full again are looked for, while the shard is at work. */
export const MAX_UNPRUNED_BUCKETS = 5_000;

/** Lanes with nothing to start whose shares are remembered. */
export const MAX_DEBTS = 20_000;

/** Expressions of limits that are kept compiled, at some 10 KB each. */
export const MAX_LIMIT_EXPRESSIONS = 500;

/** Handouts kept open before sparse ones are carried over into a new one. */
export const MAX_OPEN_HANDOUTS = 64;

/** Versions whose DAGs are kept in memory, and as many again that were used before those. */
export const MAX_VERSIONS = 2_000;

/** Conditions of retries that are kept compiled, at some 10 KB each. */
export const MAX_RETRY_CONDITIONS = 200;

/** Conditions of steps that are kept compiled. */
export const MAX_STEP_CONDITIONS = 500;

/** Conditions of events that cancel runs that are kept compiled. */
export const MAX_CANCEL_CONDITIONS = 200;

/** Conditions of events that are waited for that are kept compiled. */
export const MAX_WAIT_CONDITIONS_KEPT = 500;

/** Waits that look back together, and what of one comes in one page: events gone through, and bytes. */
export const MAX_LOOKING = 8;
export const LOOK_PAGE = 50;
export const LOOK_PAGE_BYTES = 64 * 1024; // with one that goes beyond it, as large as an event may be

/**
 * Waits that have begun and are asked about together. They may be asked about again after so long, first and at
 * last; and after so many times only the transactions of their own tenant are waited for, which costs more to find out.
 */
export const MAX_SETTLING = 500; // with an index probe each
export const RESETTLE_MS = 20;
export const RESETTLE_MAX_MS = 1_000;
export const SETTLES_OF_ALL = 4;

/** Events whose waiting runs are looked at together; a bulk call may publish a thousand. */
export const MAX_MATCHING = 8;

/**
 * Runs that one look at an event brings, and bytes of their inputs. For each an expression is evaluated:
 * with all of the above 12 s of the shard's only thread, were each as dear as one can be, of its 30.
 */
export const MATCH_PAGE = 50;
export const MATCH_PAGE_BYTES = 1024 * 1024;

/** Runs remembered as finished, for callers that ask a moment too late. */
export const MAX_FINISHED = 10_000;

/** Calls that wait for a run's result at once. */
export const MAX_WAITERS = 20_000;

/** Timers kept in memory, and how many one look at Postgres brings. */
export const MAX_AGENDA = 4_000;
export const AGENDA_PAGE = 1_000;

/** A commit without an answer for so long is of unknown outcome; it is repeated. */
export const COMMIT_TIMEOUT_MS = 10_000;

/**
 * A shard that is to take runs is waited for so long: workers that have heard of it come within a second
 * (`sdk/session/reconnect.ts`), and one that has died without a word never does.
 */
export const OPENING_LIMIT_MS = 3_000;

/** Changes of the number of shards that wait for one shard at once. */
export const MAX_OPENINGS = 100;

/** Without an answer for so long, commits are held up: nothing more is taken that can come again later. */
export const HELD_UP_MS = 2_000;

/** First and longest wait before a commit of unknown outcome is repeated. */
export const COMMIT_RETRY_MS = 50;
export const COMMIT_RETRY_MAX_MS = 5_000;

/** Wait before Postgres is asked again to close a shard, when it has not answered. */
export const CLOSE_RETRY_MS = 5_000;

/** An attempt that runs longer has its start written down; a shorter one only its end. */
export const START_RECORD_MS = 1_000;

/** The database connection closes so long after the last commit, and lets the shard hibernate. */
export const IDLE_CONNECTION_MS = 5_000;

/**
 * An alarm so late has been dropped by the platform, which otherwise tries one that failed again
 * after two seconds.
 */
export const ALARM_DROPPED_MS = 5_000;

/** What a settlement may leave a key to owe: what comes in a day, or in its window if that is longer. */
export const MAX_DEBT_MS = 86_400_000;

/** An API call that isn't durable after so long is answered with 503; it may still become so. */
export const START_TIMEOUT_MS = 25_000;

/**
 * What is lent of a limit to another shard is lent for so long at least: time enough for a shard that has died to
 * come back and ask for more. One that does not come back is waited for so long, with what its attempts may take.
 */
export const MIN_LOAN_MS = 60_000;

/** The owner waits so much longer than the borrower: their clocks differ by less. */
export const LOAN_MARGIN_MS = 5_000;

/** First and longest wait before an owner is asked again by whoever waits for something. */
export const LOAN_ASK_MS = 2_000;
export const LOAN_ASK_MAX_MS = 30_000;

/** What is lent and not used goes back after so long: time enough to fetch a task from the queue. */
export const UNSPENT_MS = 1_000;

/** Tasks waiting for one key of which its owner is told: as many as start between two answers. */
export const MAX_LOAN_ASK = 20;

/** Keys of which two shards tell each other in one call. */
export const MAX_LOAN_CALL = 500;

/** First and longest wait before a shard that could not answer is called again. */
export const PEER_RETRY_MS = 25;
export const PEER_RETRY_MAX_MS = 2_000;

/** An attempt may hold a limit so much longer than its timeout: until its worker has let go of it. */
export const LEASE_SLACK_MS = CANCEL_GRACE_MS + 5_000;

/** Results that one call passes on to another shard, and bytes of them: a call takes 32 MB, and is one answer. */
export const MAX_FORWARDED = 200;
export const MAX_FORWARD_BYTES = 4 * 1024 * 1024;
