/**
 * One shard of the dispatcher: holds the sessions of some workers and hands them tasks.
 *
 * This class wires; `dispatcher/` decides. Everything in memory may vanish at any await (hibernation,
 * eviction, deploy); what must not is in Postgres or in the object's own storage. Its public methods
 * can be called by the edge Worker; everything else is `#private`.
 */
import { DurableObject } from "cloudflare:workers";
import type { DatabaseConfig } from "../database/connect.ts";
import { ShardDatabase } from "../database/shard-database.ts";
import { PING, PONG, SUBPROTOCOL } from "../protocol/session.ts";
import type { RunState } from "../protocol/states.ts";
import { createLogger, errorFields } from "../telemetry/log.ts";
import { IDLE_CONNECTION_MS, START_RECORD_MS } from "./dispatcher/limits.ts";
import { parseShardName } from "./dispatcher/shard-name.ts";
import { nextAlarm } from "./dispatcher/timers.ts";
import type { StartCall, StartOutcome } from "./dispatcher/transitions.ts";
import { ShardCommits } from "./shard-commits.ts";
import { ShardSessions } from "./shard-sessions.ts";
import { ShardState } from "./shard-state.ts";

/** While it works on deadlines, the alarm is set this far ahead, should it not come to its end. */
const ALARM_MARGIN_MS = 10_000;

/** What `start` answers. Only `committed` is durable. */
export type StartAnswer =
  | { kind: "committed"; outcome: StartOutcome }
  | { kind: "overloaded" }
  /** Postgres has not answered in time: it may be durable, now or later. */
  | { kind: "unanswered" }
  | { kind: "refused"; message: string };

export class DispatcherShard extends DurableObject<DatabaseConfig> {
  #state: ShardState;
  #sessions: ShardSessions;
  #commits: ShardCommits;
  #database: ShardDatabase;
  #armedAt: number | undefined;

  constructor(context: DurableObjectState, env: DatabaseConfig) {
    super(context, env);
    const name = parseShardName(context.id.name);
    const log = createLogger({ tenant_id: name.tenant, shard: name.shard }, env.LOG_LEVEL);
    this.#state = new ShardState(name, context.storage, log);
    this.#sessions = new ShardSessions(this.#state, context);
    this.#database = new ShardDatabase(env);
    this.#commits = new ShardCommits(this.#state, this.#sessions, this.#database, {
      arm: (at) => this.#arm(at),
      settle: () => this.#settle(),
      abandon: (reason) => context.abort(reason),
    });
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    void context.blockConcurrencyWhile(async () => {
      this.#armedAt = (await context.storage.getAlarm()) ?? undefined;
    });
  }

  /** Takes a worker's WebSocket; the edge Worker has authenticated it. */
  override fetch(_request: Request): Response {
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.#sessions.accept(server);
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "sec-websocket-protocol": SUBPROTOCOL },
    });
  }

  /** Makes events and runs durable, and answers once they are. Safe to call again with the same ids. */
  async start(call: StartCall): Promise<StartAnswer> {
    const { committer, pendingCalls } = this.#state;
    if (committer.isOverloaded(call.bytes)) return { kind: "overloaded" };
    await this.#commits.ensureVersions(call.runs.map(({ v }) => v));
    const { promise, resolve } = Promise.withResolvers<StartAnswer>();
    const pending = pendingCalls.add(Date.now(), () => resolve({ kind: "unanswered" }));
    const answer = (kind: StartAnswer): void => {
      pendingCalls.end(pending);
      resolve(kind);
    };
    committer.add({
      kind: "start",
      call,
      bytes: call.bytes,
      landed: (outcome) => answer({ kind: "committed", outcome }),
      refused: (error) => answer({ kind: "refused", message: errorFields(error).error }),
    });
    this.#commits.pump();
    return promise;
  }

  /** The state of a finished run, as soon as it has finished; undefined when that takes too long. */
  waitForRun(run: string, timeoutMs: number): Promise<RunState | undefined> {
    const deadline = Date.now() + timeoutMs;
    this.#arm(deadline);
    return this.#state.waiters.wait(run, deadline);
  }

  /** Reminds the shard that Postgres has tasks for it, should its alarm have been dropped. */
  nudge(): void {
    this.#commits.wantRecovery();
    this.#settle();
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#sessions.receive(socket, message);
    this.#commits.wantRecovery();
    this.#settle();
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#sessions.closed(socket, code);
    closeOurSide(socket);
    this.#settle();
    this.#armForAll();
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket, 1006);
  }

  /** Whatever is due by now. At least once: everything here may happen again. */
  override async alarm(): Promise<void> {
    const now = Date.now();
    try {
      this.#armedAt = undefined;
      this.#arm(now + ALARM_MARGIN_MS);
      this.#sessions.enforceDeadlines(now);
      this.#recordStarts(now);
      this.#state.waiters.expire(now);
      this.#state.pendingCalls.expire(now);
      this.#commits.enforceDeadlines(now);
      this.#settle();
      this.#closeWhenIdle(now);
      await this.#rearm();
    } catch (error) {
      // An alarm that throws is tried six times and dropped; the margin above is tried for ever.
      this.#state.log.error("alarm.failed", errorFields(error));
    }
  }

  /** Places what can be placed, sends what there is to send, commits what may fly. */
  #settle(): void {
    const now = Date.now();
    const due = this.#sessions.dispatch(now);
    this.#sessions.flush();
    this.#commits.pump();
    if (Number.isFinite(due)) this.#arm(Math.min(due, now + START_RECORD_MS));
    // An alarm that stands looks at everything when it goes off; what is due sooner has set its own.
    else if (this.#armedAt === undefined) this.#armForAll();
  }

  /** Writes down who has the attempts that run long. */
  #recordStarts(now: number): void {
    const { leases, roster, committer } = this.#state;
    for (const lease of leases.unrecorded(now, START_RECORD_MS)) {
      lease.isStartRecorded = true;
      const { task: t, run: r, attempt: a, sentAt: b } = lease;
      const w = roster.find(lease.session)?.worker ?? "";
      committer.add({ kind: "started", row: { t, r, a, w, b }, bytes: 0 });
    }
  }

  #closeWhenIdle(now: number): void {
    const usedAt = this.#database.connectionUsedAt;
    if (usedAt === undefined || usedAt + IDLE_CONNECTION_MS > now) return;
    this.#commits.pump(true);
    if (this.#commits.isIdle) this.#database.closeAll();
  }

  #nextAlarm(): number | undefined {
    const { roster, leases, committer, waiters, pendingCalls } = this.#state;
    return nextAlarm({
      roster,
      leases,
      committer,
      waiters,
      pendingCalls,
      // While something is under way its own deadline counts; the connection closes after it.
      connectionUsedAt: this.#commits.isIdle ? this.#database.connectionUsedAt : undefined,
      recoveryDue: this.#commits.recoveryDue,
      heardAt: (session) => this.#sessions.heardAt(session),
    });
  }

  #armForAll(): void {
    const due = this.#nextAlarm();
    if (due !== undefined) this.#arm(due);
  }

  /** Sets the alarm, unless it goes off before that anyway. */
  #arm(at: number): void {
    if (this.#armedAt !== undefined && this.#armedAt <= at) return;
    this.#armedAt = at;
    void this.ctx.storage.setAlarm(at);
  }

  /** Sets the alarm to exactly what is due next, or to none. */
  async #rearm(): Promise<void> {
    const due = this.#nextAlarm();
    this.#armedAt = due;
    if (due === undefined) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(due);
  }
}

/** Until both sides have closed, the worker's program waits for the other and does not end. */
function closeOurSide(socket: WebSocket): void {
  try {
    socket.close(1000);
  } catch {
    // The connection is gone, and with it the other side.
  }
}
