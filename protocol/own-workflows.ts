/**
 * Workflows of Skein's own. Their names begin with `skein.`, as nobody else's may.
 */
export const OWN_PREFIX = "skein.";

/** Delivers a notification. */
export const NOTIFY_WORKFLOW = "skein.notify";
export const NOTIFY_STEP = "deliver";

/** What Skein executes itself. */
export const OWN_ACTIONS = [`${NOTIFY_WORKFLOW}:${NOTIFY_STEP}`];
