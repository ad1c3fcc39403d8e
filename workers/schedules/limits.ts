/**
 * The bounds of schedules that only their clock needs, each with its reason.
 */

/** A run that is started so much after it was due is on time: a clock wakes late, and so does a database. */
export const CATCH_UP_GRACE_MS = 60_000;

/** Ticks of one schedule that are gone through at once; a third of a second, in a zone with daylight saving time. */
export const MAX_WALKED = 2_000;

/** Ticks that one look goes through, of all schedules: the platform ends an alarm after 30 s of CPU. */
export const MAX_WALKED_AT_ONCE = 10_000;

/** Runs that one schedule starts in one commit; its others follow in the next. */
export const MAX_STARTS_AT_ONCE = 100;

/** Schedules that one look reads, and bytes of their inputs. */
export const DUE_PAGE = 500;
export const DUE_BYTES = 8 * 1024 * 1024;

/** Bytes of the inputs of runs that one commit starts. */
export const MAX_START_BYTES = 8 * 1024 * 1024;

/** A schedule whose run Postgres has refused rests so long: what is wrong there takes somebody to mend it. */
export const REFUSED_REST_MS = 600_000;
