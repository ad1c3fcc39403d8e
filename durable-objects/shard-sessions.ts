/**
 * The sockets of a shard and what is said on them: reads workers' frames, sends them tasks and
 * answers. Everything that is said in one turn to one worker goes as one message.
 */
import type { ResultRow } from "../database/rows.ts";
import { CLOSE_DRAINED, SESSION_ERRORS, type SessionErrorCode } from "../protocol/errors.ts";
import { runIdOf } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import { MAX_PAYLOAD_BYTES } from "../protocol/limits.ts";
import {
  type AttemptRef,
  HEARTBEAT_LIMIT_MS,
  type HelloFrame,
  PING_INTERVAL_MS,
  PROTOCOL_VERSION,
  RESUME_GRACE_MS,
  type ShardFrame,
  type WorkerFrame,
} from "../protocol/session.ts";
import { readMessage } from "./dispatcher/frames.ts";
import type { Lease } from "./dispatcher/leases.ts";
import type { Session } from "./dispatcher/roster.ts";
import { type Placement, place } from "./dispatcher/scheduler.ts";
import type { ShardState } from "./shard-state.ts";

interface Attachment {
  session?: string;
  connectedAt: number;
}

type ReportFrame = Extract<WorkerFrame, { type: "completed" | "failed" }>;

export class ShardSessions {
  #state: ShardState;
  #context: DurableObjectState;
  #sockets = new Map<string, WebSocket>();
  #outbox = new Map<string, ShardFrame[]>();
  /** When a session last sent a message, as far as this life knows. */
  #heardAt = new Map<string, number>();

  constructor(state: ShardState, context: DurableObjectState) {
    this.#state = state;
    this.#context = context;
    for (const socket of context.getWebSockets()) {
      const { session } = readAttachment(socket);
      if (session !== undefined) this.#sockets.set(session, socket);
    }
    // A session whose socket vanished while nobody was awake: its time to be resumed begins now.
    for (const session of state.roster.sessions) {
      if (session.closedAt === undefined && !this.#sockets.has(session.id)) this.#close(session);
    }
  }

  accept(socket: WebSocket): void {
    this.#context.acceptWebSocket(socket);
    socket.serializeAttachment({ connectedAt: Date.now() } satisfies Attachment);
  }

  /** When a session was last heard of, in milliseconds since 1970. */
  heardAt(id: string): number {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return 0;
    const pinged = this.#context.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(pinged, readAttachment(socket).connectedAt, this.#heardAt.get(id) ?? 0);
  }

  /** Reads a message; a frame that breaks the protocol ends the socket and changes nothing. */
  receive(socket: WebSocket, message: string | ArrayBuffer): void {
    const read = readMessage(message);
    if (!read.ok) return this.#refuse(socket, read.code, read.detail);
    const { session: id } = readAttachment(socket);
    let session = id === undefined ? undefined : this.#state.roster.find(id);
    const bytes = message instanceof ArrayBuffer ? message.byteLength : message.length;
    const isLarge = bytes > MAX_PAYLOAD_BYTES / 3; // a character is at most three bytes
    for (const frame of read.frames) {
      if (frame.type === "hello") {
        if (session) return this.#refuse(socket, "hello_repeated", "This session has said hello.");
        session = this.#welcome(socket, frame);
      } else if (session === undefined) {
        return this.#refuse(socket, "hello_expected", `Got ${frame.type} before hello.`);
      } else {
        this.#read(session, frame, Math.ceil(bytes / read.frames.length), isLarge);
      }
    }
    if (session) this.#heardAt.set(session.id, Date.now());
  }

  closed(socket: WebSocket, code: number): void {
    const { session: id } = readAttachment(socket);
    if (id === undefined || this.#sockets.get(id) !== socket) return; // resumed elsewhere since
    const session = this.#state.roster.find(id);
    if (session === undefined) return;
    if (code === CLOSE_DRAINED) {
      this.#sockets.delete(id);
      this.#state.endSession(session, "has drained and left", Date.now());
      return;
    }
    this.#close(session);
    const fields = { session_id: id, worker: session.worker, close_code: code };
    this.#state.log.info("session.closed", { ...fields, holding: session.holding.size });
  }

  /** Places ready tasks and sends each to its session, leased. The time it needs an alarm, if any. */
  dispatch(now: number): number {
    const placements = place(this.#state.window, this.#state.roster);
    const leases = placements.map((placement) => this.#lease(placement, now));
    for (const lease of leases) this.#state.leases.hold(lease);
    this.#state.storage.writeLeases(leases);
    return leases.reduce((due, { deadline }) => Math.min(due, deadline), Number.POSITIVE_INFINITY);
  }

  send(session: string, frame: ShardFrame): void {
    const frames = this.#outbox.get(session);
    if (frames) frames.push(frame);
    else this.#outbox.set(session, [frame]);
  }

  /** Sends what has gathered in this turn. */
  flush(): void {
    for (const [session, frames] of this.#outbox) {
      const socket = this.#sockets.get(session);
      if (socket) sendFrames(socket, frames);
    }
    this.#outbox.clear();
  }

  /** Ends what has run out of time: attempts, silent sessions, sessions that were not resumed. */
  enforceDeadlines(now: number): void {
    for (const lease of this.#state.leases.overdue(now)) {
      const limitMs = lease.deadline - lease.sentAt;
      this.#state.endAttempt(lease, "timed_out", `The attempt ran longer than ${limitMs} ms.`, now);
      this.send(lease.session, { type: "cancel", ...refOf(lease), reason: "execution_timeout" });
      this.#state.log.warn("task.timed_out", { ...idsOf(lease), limit_ms: limitMs });
    }
    for (const session of this.#state.roster.sessions) {
      if (session.closedAt !== undefined) {
        if (session.closedAt + RESUME_GRACE_MS > now) continue;
        this.#state.endSession(session, "lost its connection and did not return", now);
      } else if (session.holding.size > 0 && this.heardAt(session.id) + HEARTBEAT_LIMIT_MS <= now) {
        const socket = this.#sockets.get(session.id);
        this.#state.endSession(session, "was silent for longer than the heartbeat limit", now);
        if (socket) this.#refuse(socket, "session_silent", "Reconnect and say hello.");
      }
    }
  }

  #welcome(socket: WebSocket, hello: HelloFrame): Session {
    const { roster, storage, leases, log } = this.#state;
    const known = hello.session === undefined ? undefined : roster.find(hello.session);
    const previous = known && this.#sockets.get(known.id);
    const session = roster.join({
      id: known?.id ?? crypto.randomUUID(),
      worker: hello.worker,
      slots: hello.slots,
      actions: hello.actions,
      versions: hello.versions,
      isDraining: false,
      closedAt: undefined,
    });
    this.#sockets.set(session.id, socket);
    const attachment: Attachment = { session: session.id, connectedAt: Date.now() };
    socket.serializeAttachment(attachment);
    storage.writeSession(session.toRecord());
    if (previous) this.#refuse(previous, "session_replaced", "Its worker has a newer socket.");

    const resumed = hello.running.filter(({ task, attempt }) => {
      const lease = leases.find(task, attempt);
      return lease?.session === session.id && (lease.state === "held" || lease.state === "ending");
    });
    this.send(session.id, {
      type: "welcome",
      session: session.id,
      shard: this.#state.name.shard,
      pingIntervalMs: PING_INTERVAL_MS,
      heartbeatLimitMs: HEARTBEAT_LIMIT_MS,
      resumeGraceMs: RESUME_GRACE_MS,
      resumed,
      stale: hello.running.filter((ref) => !resumed.includes(ref)),
    });
    if (known) this.#endUnknown(session, resumed);
    const counts = { slots: session.slots, actions: hello.actions.length, resumed: resumed.length };
    const event = known ? "session.resumed" : "session.opened";
    log.info(event, { session_id: session.id, worker: session.worker, sdk: hello.sdk, ...counts });
    return session;
  }

  /** Attempts that were sent but that the worker doesn't know of went down with its old socket. */
  #endUnknown(session: Session, resumed: AttemptRef[]): void {
    const known = new Set(resumed.map(({ task }) => task));
    for (const lease of this.#state.leases.ofSession(session.id)) {
      if (known.has(lease.task)) continue;
      if (lease.state === "held") {
        this.#state.endAttempt(lease, "lost", "The task did not reach its worker.", Date.now());
        session.holding.delete(lease.task);
      } else {
        this.#release(session, lease);
      }
    }
  }

  #read(
    session: Session,
    frame: Exclude<WorkerFrame, HelloFrame>,
    bytes: number,
    isLarge: boolean,
  ): void {
    switch (frame.type) {
      case "completed":
      case "failed":
        return this.#readReport(session, frame, bytes, isLarge);
      case "released": {
        const lease = this.#state.leases.find(frame.task, frame.attempt);
        if (lease?.session === session.id && lease.state !== "held") this.#release(session, lease);
        return;
      }
      case "log": {
        const { task: t, attempt: a, first: n, lines: l } = frame;
        if (this.#state.leases.find(t, a)?.session !== session.id) return; // no longer its to tell
        return this.#state.committer.add({ kind: "log", row: { t, a, n, l }, bytes });
      }
      case "drain":
        session.isDraining = true;
        this.#state.storage.writeSession(session.toRecord());
        return this.#state.log.info("session.draining", { session_id: session.id });
    }
  }

  #readReport(session: Session, frame: ReportFrame, bytes: number, isLarge: boolean): void {
    const { task, attempt } = frame;
    const lease = this.#state.leases.find(task, attempt);
    if (lease === undefined || lease.session !== session.id) {
      // Not leased to this session: perhaps recorded before a reconnect. Postgres knows.
      const row = { t: task, a: attempt };
      this.#state.committer.add({ kind: "ask", row, bytes: 0, session: session.id });
      return;
    }
    if (lease.state === "ending") return; // sent again while on its way: answered when it lands
    if (lease.state !== "held") {
      this.#release(session, lease);
      return this.send(session.id, { type: "stale", task, attempt });
    }
    lease.state = "ending";
    session.holding.delete(task);
    this.#state.committer.add({
      kind: "result",
      bytes,
      session: session.id,
      version: lease.version,
      step: lease.step,
      row: {
        t: task,
        r: lease.run,
        a: attempt,
        w: session.worker,
        b: frame.startedAt,
        f: frame.finishedAt,
        ...outcomeOf(frame, isLarge),
      },
    });
  }

  #release(session: Session, lease: Lease): void {
    session.holding.delete(lease.task);
    lease.isReleased = true;
    if (lease.state !== "cancelled") return;
    this.#state.leases.end(lease.task);
    this.#state.storage.deleteLeases([lease.task]);
  }

  #lease({ task, session }: Placement, now: number): Lease {
    const version = this.#state.versions.find(task.version);
    const step = version?.steps[task.step];
    if (version === undefined || step === undefined) {
      throw new Error(`Task ${task.id} was placed before version ${task.version} was read`);
    }
    this.send(session.id, {
      type: "task",
      task: task.id,
      run: task.run,
      shard: this.#state.name.shard,
      attempt: task.attempt,
      workflow: version.workflow,
      version: version.number,
      step: step.name,
      action: step.action,
      input: task.input,
      parents: task.parents,
      metadata: task.metadata,
      timeoutMs: step.timeoutMs,
      queuedAt: task.queuedAt,
    });
    return {
      task: task.id,
      run: task.run,
      attempt: task.attempt,
      session: session.id,
      version: task.version,
      step: task.step,
      sentAt: now,
      deadline: now + step.timeoutMs,
      state: "held",
      isReleased: false,
      isStartRecorded: false,
    };
  }

  #close(session: Session): void {
    session.closedAt = Date.now();
    this.#sockets.delete(session.id);
    this.#heardAt.delete(session.id);
    this.#state.storage.writeSession(session.toRecord());
  }

  #refuse(socket: WebSocket, code: SessionErrorCode, detail: string): void {
    const { close, title } = SESSION_ERRORS[code];
    const { session } = readAttachment(socket);
    const ids = session === undefined ? {} : { session_id: session };
    this.#state.log.warn("session.refused", { ...ids, code, detail });
    sendFrames(socket, [{ type: "error", code, detail: `${title}. ${detail}` }]);
    try {
      socket.close(close, code);
    } catch {
      return; // closed already
    }
    this.closed(socket, close);
  }
}

/** What a report says of its attempt, as the commit's row has it. */
function outcomeOf(frame: ReportFrame, isLarge: boolean): Pick<ResultRow, "s" | "o" | "e"> {
  if (frame.type === "failed") return { s: "failed", e: frame.error };
  const bytes = isLarge ? bytesOf(frame.output) : 0;
  if (bytes <= MAX_PAYLOAD_BYTES) return { s: "completed", o: frame.output };
  const message = `The output is ${bytes} bytes of JSON; at most ${MAX_PAYLOAD_BYTES} are kept.`;
  return { s: "failed", e: { code: "payload_too_large", name: "PayloadTooLarge", message } };
}

/** Of its JSON; 0 when it can't be written, which its commit will find. */
function bytesOf(output: Json): number {
  try {
    return new TextEncoder().encode(JSON.stringify(output)).length;
  } catch {
    return 0;
  }
}

function sendFrames(socket: WebSocket, frames: ShardFrame[]): void {
  try {
    socket.send(JSON.stringify({ v: PROTOCOL_VERSION, frames }));
  } catch {
    // The socket closed under us: its close event follows, and the worker asks again.
  }
}

function readAttachment(socket: WebSocket): Attachment {
  return (socket.deserializeAttachment() as Attachment | null) ?? { connectedAt: 0 };
}

function refOf({ task, attempt }: Lease): AttemptRef {
  return { task, attempt };
}

function idsOf({ task, attempt, session }: Lease): Record<string, string | number> {
  return { run_id: runIdOf(task), task_id: task, attempt, session_id: session };
}
