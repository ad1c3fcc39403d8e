/**
 * Every bound that a client, a worker and a shard must agree on, each with its reason.
 * A limit that only one side needs stands beside the code that keeps it.
 */

/** Bytes of JSON in one run's input, one event's payload or one step's output. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024; // several still fit in a shard's 128 MB beside its window

/** Bytes of one HTTP request body. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024; // a bulk call is one commit; Postgres parses it in one piece

/** Bytes of one WebSocket message; the platform refuses more than 32 MiB. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** Runs or events in one bulk call: one commit's worth of transitions. */
export const MAX_BULK = 1_000;

/** Characters of a name: workflow, step, action, event key, worker. */
export const MAX_NAME_LENGTH = 200;

/** Limits that one workflow or one step uses: each is evaluated for every task. */
export const MAX_LIMIT_USES = 5;

/** Windows of one rate limit: a second, a minute, an hour and a day. */
export const MAX_RATE_WINDOWS = 4;

/** Stored limits of a tenant: each shard keeps them all in memory. */
export const MAX_STORED_LIMITS = 1_000;

/** Windows of a promotion's rollback: shorter ones see hardly a run, longer ones yesterday's failures. */
export const MIN_ROLLBACK_WINDOW_MS = 60_000;
export const MAX_ROLLBACK_WINDOW_MS = 86_400_000;
export const DEFAULT_ROLLBACK_WINDOW_MS = 600_000;

/** Runs that must have ended before a promotion may end by itself. */
export const DEFAULT_ROLLBACK_RUNS = 20;
export const MAX_ROLLBACK_RUNS = 1_000_000;

/** Characters of why something was changed. */
export const MAX_REASON_LENGTH = 1_000;

/** Webhooks of a tenant: each keeps what was refused there. */
export const MAX_WEBHOOKS = 1_000;

/** Secrets of one webhook: a new one beside the old one. Every delivery is held against so many. */
export const MAX_WEBHOOK_SECRETS = 3;

/** Characters of a secret: beyond a key of any algorithm, and of every provider's. */
export const MAX_SECRET_LENGTH = 1_000;

/** Headers of a delivery that its event keeps, and characters of each: metadata is read with every list. */
export const MAX_KEPT_HEADERS = 10;
export const MAX_KEPT_HEADER_LENGTH = 500;

/** Milliseconds that a webhook's signed time may differ from the clock, and at most: a day. */
export const DEFAULT_TOLERANCE_MS = 300_000;
export const MAX_TOLERANCE_MS = 86_400_000;

/** Bytes of a delivery's body: a payload as large as may be, when it is sent as a form. */
export const MAX_DELIVERY_BYTES = 3 * MAX_PAYLOAD_BYTES;

/** Refused deliveries of one webhook that are kept, and that are written down in a minute. */
export const MAX_WEBHOOK_FAILURES = 100;

/** Overrides of one limit: every new key is held against each. */
export const MAX_OVERRIDES = 100;

/** Characters of a key: what a limit is counted by, which names it in lists and in every `why`. */
export const MAX_KEY_LENGTH = 200;

/** Keys of a limit that one answer tells of. */
export const MAX_LIMIT_KEYS = 100;

/** Characters of a limit's name: a workflow's own are named after the workflow and the step. */
export const MAX_LIMIT_NAME_LENGTH = 2 * MAX_NAME_LENGTH + 4;

/** Permits of one key, and units of one window. */
export const MAX_CONCURRENCY = 1_000_000;
export const MAX_RATE_UNITS = 1_000_000_000_000;

/** Milliseconds of a rate's window: thirty days; and of a pause that a worker asks for: a day. */
export const MAX_RATE_WINDOW_MS = 30 * 86_400_000;
export const MAX_RATE_PAUSE_MS = 86_400_000;

/** How many times the share of a key of weight 1 another's may be, and the least part of it. */
export const MAX_WEIGHT = 1_000;
export const MIN_WEIGHT = 0.001; // its turn must still come

/** Priorities, the most urgent last. */
export const PRIORITIES = [1, 2, 3] as const;
export const DEFAULT_PRIORITY = 2;

/** Labels of one worker, and that one step asks for. */
export const MAX_LABELS = 50;

/** How much one preferred label may count beside another of weight 1. */
export const MAX_LABEL_WEIGHT = 1_000_000;

/** Steps of one workflow: its runs' rows are written, read and drawn together. */
export const MAX_STEPS = 500;

/** Event keys one workflow may listen to. */
export const MAX_EVENT_KEYS = 100;

/** Filters that one workflow declares: they are stored with each version. Others are stored by the API. */
export const MAX_DECLARED_FILTERS = 100;

/** Stored filters of a tenant, and their expressions and payloads together: an isolate that takes its events holds them all. */
export const MAX_FILTERS = 20_000;
export const MAX_FILTERS_BYTES = 8 * 1024 * 1024;

/** Bytes of JSON in a filter's payload. */
export const MAX_FILTER_PAYLOAD_BYTES = 16 * 1024;

/** Runs that one event starts: it is one commit. */
export const MAX_RUNS_OF_EVENT = MAX_BULK;

/** Filters of one event that are recorded as not evaluated. */
export const MAX_FILTER_FAILURES = 20;

/** Notifications of a tenant: each commit that ends runs looks at them. */
export const MAX_NOTIFICATIONS = 100;

/** Workflows that one notification names, secrets that sign it, and characters of its address. */
export const MAX_WORKFLOWS_TOLD = 100;
export const MAX_SECRETS = 2;
export const MAX_URL_LENGTH = 2_000;

/** Ways to cancel a workflow's runs by an event: each is a row written with every run. */
export const MAX_CANCEL_ON = 5;

/** Events and sleeps that one step waits for: the ways to combine them are written out, 36 at most. */
export const MAX_WAIT_CONDITIONS = 10;

/** Milliseconds that a wait's sleep and its timeout take at most, and that it looks back. */
export const MAX_WAIT_MS = 365 * 86_400_000;
export const MAX_LOOK_BACK_MS = 7 * 86_400_000; // every event of the key since then may be gone through

/** Characters of an idempotency key. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;

/** Bytes of JSON in a run's or event's metadata: it is read with every list. */
export const MAX_METADATA_BYTES = 16 * 1024;

/** Actions and workflow versions one session may offer: they are kept in the shard's own storage. */
export const MAX_SESSION_ACTIONS = 2_000;

/** Slots one session may offer. */
export const MAX_SESSION_SLOTS = 10_000;

/** Characters of one expression: it is read whole before it is known to be reasonable. */
export const MAX_EXPRESSION_LENGTH = 4_096;

/** Bytes of an error's message or stack; more is cut by the SDK and refused by the shard. */
export const MAX_ERROR_BYTES = 16 * 1024;

/** Bytes of one log line's message and fields together. */
export const MAX_LOG_LINE_BYTES = 16 * 1024;

/** Log lines of one attempt: a handler that logs in a loop must not fill the database. */
export const MAX_LOG_LINES = 1_000;

/** Milliseconds a step may run when its workflow says nothing. */
export const DEFAULT_TIMEOUT_MS = 60_000;

/** Milliseconds a step may ask for: a day. */
export const MAX_TIMEOUT_MS = 86_400_000;

/** Milliseconds a task may ask to be queued at most, and a run to take: thirty days. */
export const MAX_SCHEDULE_TIMEOUT_MS = 30 * 86_400_000;
export const MAX_RUN_TIMEOUT_MS = 30 * 86_400_000;

/** Retries of one step: each is a row of history. */
export const MAX_RETRIES = 100;

/** How long to wait between a failed attempt and the next, where the step says nothing. */
export const DEFAULT_BACKOFF = { initialMs: 1_000, factor: 2, maxMs: 300_000, jitter: 0.5 };

/** Milliseconds between two attempts at most, whatever a backoff or a `retryAfter` says: a day. */
export const MAX_BACKOFF_MS = 86_400_000;
export const MAX_BACKOFF_FACTOR = 100;

/**
 * Times that a task is given to another worker because its own vanished. One more, and it fails: a
 * task that kills whoever takes it must not go through a whole fleet.
 */
export const MAX_RESCUES = 10;

/** Children in one `spawn` frame: as a bulk call. */
export const MAX_SPAWN = MAX_BULK;

/** Bytes of a finished child's outputs that are pushed to its parent; larger ones are fetched. */
export const MAX_PUSHED_BYTES = MAX_PAYLOAD_BYTES;

/** Runs one cancel or replay by filter takes; it says whether there are more. */
export const MAX_BY_FILTER = 1_000;

/** Milliseconds one call may wait for a run's result before it is asked again. */
export const MAX_RESULT_WAIT_MS = 60_000;

/** Runs or workflows on one page of a list. */
export const MAX_PAGE_SIZE = 200;
export const DEFAULT_PAGE_SIZE = 50;

/** Days that a tenant's history may be kept; without a bound when it says so. */
export const MIN_RETENTION_DAYS = 1; // an idempotency key, which names a run, lives as long
export const MAX_RETENTION_DAYS = 3_650;

/** Bytes of a run's export: it is put together in the memory of an isolate, and imported as one body. */
export const MAX_EXPORT_BYTES = 8 * 1024 * 1024;

/** Imported runs of a tenant, and their bytes together: they are for looking at, not an archive. */
export const MAX_IMPORTS = 1_000;
export const MAX_IMPORTS_BYTES = 256 * 1024 * 1024;

/** Runs that one replay check takes from history, and takes when it is not told how many. */
export const MAX_CHECKED_RUNS = 1_000;
export const DEFAULT_CHECKED_RUNS = 100;

/** Bytes of recorded runs that one call of a replay check goes through: it holds a part of them at a time. */
export const MAX_CHECKED_BYTES = 32 * 1024 * 1024;

/** Divergences that one answer lists; it counts the others. */
export const MAX_DIVERGENCES = 1_000;
