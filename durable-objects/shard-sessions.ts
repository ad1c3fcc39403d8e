/**
 * The sockets of a shard: who is connected, what is said in each turn, and who has been silent for
 * too long. Everything that is said in one turn to one worker goes as one message.
 */
import { CLOSE_DRAINED, SESSION_ERRORS, type SessionErrorCode } from "../protocol/errors.ts";
import type { WorkerRecord } from "../protocol/http.ts";
import { MAX_PAYLOAD_BYTES } from "../protocol/limits.ts";
import {
  type AttemptRef,
  HEARTBEAT_LIMIT_MS,
  type HelloFrame,
  PINGS_PER_LIMIT,
  RESUME_GRACE_MS,
  type TaskFrame,
  type WorkerFrame,
} from "../protocol/session.ts";
import type { ShardsFrame } from "../protocol/slot-frames.ts";
import { readMessage, shardsFrame } from "./dispatcher/frames.ts";
import { type Lease, leaseKey } from "./dispatcher/leases.ts";
import { OWN_SESSION } from "./dispatcher/own-session.ts";
import type { Session } from "./dispatcher/roster.ts";
import type { ShardAttempts } from "./shard-attempts.ts";
import { ShardCredits } from "./shard-credits.ts";
import { ShardFrames } from "./shard-frames.ts";
import { ShardHandshakes } from "./shard-handshakes.ts";
import { ShardReadiness } from "./shard-readiness.ts";
import type { ShardState } from "./shard-state.ts";
import {
  type Attachment,
  BYTES_A_CHARACTER,
  readAttachment,
  sendFrames,
} from "./worker-sockets.ts";

/** "Try again later", of RFC 6455's registry. */
const COME_BACK = 1013;

export class ShardSessions {
  #state: ShardState;
  #attempts: ShardAttempts;
  readonly frames: ShardFrames;
  readonly readiness: ShardReadiness;
  #credits: ShardCredits;
  #handshakes: ShardHandshakes;
  #context: DurableObjectState;
  #execute: (tasks: TaskFrame[]) => void;
  #sockets = new Map<string, WebSocket>();
  /** When a session last sent a message, as far as this life knows. */
  #heardAt = new Map<string, number>();

  /** @param execute Gives tasks to Skein's own worker, which is heard by `hearOwn`. */
  constructor(
    state: ShardState,
    attempts: ShardAttempts,
    context: DurableObjectState,
    execute: (tasks: TaskFrame[]) => void,
  ) {
    this.#state = state;
    this.#execute = execute;
    this.#attempts = attempts;
    this.frames = new ShardFrames(state, attempts);
    this.#context = context;
    this.#credits = new ShardCredits(state, (session) => this.#sockets.get(session));
    this.readiness = new ShardReadiness(state, this.#credits);
    this.#handshakes = new ShardHandshakes(state, context);
    for (const socket of context.getWebSockets()) {
      const { session: id } = readAttachment(socket);
      if (id === undefined) continue;
      this.#sockets.set(id, socket);
      const session = state.roster.find(id);
      if (session) this.#credits.restore(session, socket);
    }
    // A session whose socket vanished while nobody was awake: its time to be resumed begins now.
    for (const session of state.roster.sessions) {
      if (session.closedAt === undefined && !this.#sockets.has(session.id)) this.#close(session);
    }
    attempts.rescueOrphans(Date.now());
  }

  /** Takes a worker's socket, or sends it away for a while: its session may have lost its socket by that. */
  accept(request: Request): Response {
    return this.#handshakes.admit(request, (session) => this.#replace(session));
  }

  /** Tells every worker that is connected which shards there are. Sent with what else is said in this turn. */
  announce(frame: ShardsFrame): void {
    for (const session of this.#sockets.keys()) this.#state.outbox.add(session, frame);
  }

  /** When a session was last heard of, in milliseconds since 1970. */
  heardAt(id: string): number {
    if (id === OWN_SESSION.id) return Date.now(); // it is told by a call, and that fails or arrives
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
    const isLarge = bytes > MAX_PAYLOAD_BYTES / BYTES_A_CHARACTER;
    const now = Date.now();
    for (const frame of read.frames) {
      if (frame.type === "hello") {
        if (session) return this.#refuse(socket, "hello_repeated", "This session has said hello.");
        session = this.#welcome(socket, frame);
      } else if (session === undefined) {
        return this.#refuse(socket, "hello_expected", `Got ${frame.type} before hello.`);
      } else {
        this.#read(session, frame, Math.ceil(bytes / read.frames.length), isLarge, now);
      }
    }
    if (session === undefined) return;
    this.readiness.wake(session);
    this.#heardAt.set(session.id, now);
  }

  /** What Skein's own worker says. */
  hearOwn(frames: readonly Exclude<WorkerFrame, HelloFrame>[]): void {
    const session = this.#state.roster.find(OWN_SESSION.id);
    if (session === undefined) return;
    for (const frame of frames) this.#read(session, frame, 0, false, Date.now());
    this.readiness.wake(session);
  }

  closed(socket: WebSocket, code: number): void {
    const { session: id } = readAttachment(socket);
    if (id === undefined || this.#sockets.get(id) !== socket) return; // resumed elsewhere since
    const session = this.#state.roster.find(id);
    if (session === undefined) return;
    if (code === CLOSE_DRAINED) {
      this.#end(session, "has drained and left", Date.now());
      return;
    }
    this.#close(session);
    const fields = { session_id: id, worker: session.worker, close_code: code };
    this.#state.log.info("session.closed", { ...fields, holding: session.holding.size });
  }

  /** When a worker is told something, or the log, if nothing happens before. */
  get nextDue(): number {
    return Math.min(this.#credits.nextDue, this.#handshakes.nextDue);
  }

  /** How many workers were sent away since this life of the shard began. */
  get refused(): number {
    return this.#handshakes.refused;
  }

  /** Sends what has gathered in this turn. */
  flush(now: number): void {
    this.#credits.tell(now);
    this.#handshakes.report(now);
    for (const [session, frames] of this.#state.outbox.take()) {
      if (session === OWN_SESSION.id) {
        const tasks = frames.filter((frame) => frame.type === "task");
        if (tasks.length > 0) this.#execute(tasks);
        continue;
      }
      const socket = this.#sockets.get(session);
      if (socket) sendFrames(socket, frames);
    }
  }

  /** Ends sessions that were silent, or were not resumed, for too long. */
  enforceDeadlines(now: number): void {
    for (const session of this.#state.roster.sessions) {
      if (session.closedAt !== undefined) {
        if (session.closedAt + session.resumeGraceMs > now) continue;
        this.#end(session, "lost its connection and did not return", now);
      } else if (session.isBusy && this.heardAt(session.id) + session.heartbeatLimitMs <= now) {
        const socket = this.#sockets.get(session.id);
        this.#end(session, "was silent for longer than the heartbeat limit", now);
        if (socket) this.#refuse(socket, "session_silent", "Reconnect and say hello.");
      }
    }
  }

  /** Has a worker come back: it says again what was not answered. */
  askToReconnect(id: string): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return;
    try {
      socket.close(COME_BACK, "Come back, and say again what was not answered.");
    } catch {
      return; // closed already
    }
    this.closed(socket, COME_BACK);
  }

  /** The workers of this shard, for people. */
  list(): WorkerRecord[] {
    return [...this.#state.roster.sessions].map((session) => ({
      id: session.id,
      name: session.worker,
      shard: this.#state.name.shard,
      state: session.state,
      slots: session.slots,
      usedSlots: session.usedSlots,
      actions: [...session.actions],
      labels: session.labels,
      connectedAt: new Date(session.connectedAt).toISOString(),
      heardAt: new Date(session.closedAt ?? this.heardAt(session.id)).toISOString(),
    }));
  }

  #welcome(socket: WebSocket, hello: HelloFrame): Session {
    const { roster, storage, leases, outbox, log } = this.#state;
    const known = hello.session === undefined ? undefined : roster.findWorker(hello.session);
    const previous = known && this.#sockets.get(known.id);
    const { connectedAt } = readAttachment(socket);
    const now = Date.now();
    const session = roster.join({
      id: known?.id ?? crypto.randomUUID(),
      worker: hello.worker,
      slots: hello.slots,
      actions: hello.actions,
      versions: hello.versions,
      heartbeatLimitMs: hello.heartbeatLimitMs ?? HEARTBEAT_LIMIT_MS,
      resumeGraceMs: hello.resumeGraceMs ?? RESUME_GRACE_MS,
      // What a person has asked while it was away counts, else its own word.
      isPaused: known?.askedPause ?? hello.isPaused === true,
      askedPause: known?.askedPause,
      isDraining: known?.isDraining === true,
      labels: hello.labels ?? {},
      connectedAt,
      closedAt: undefined,
    });
    this.#sockets.set(session.id, socket);
    const attachment: Attachment = { session: session.id, connectedAt: now };
    socket.serializeAttachment(attachment);
    storage.writeSession(session.toRecord());
    this.#credits.greet(session, socket, hello.of);
    if (previous) this.#refuse(previous, "session_replaced", "Its worker has a newer socket.");

    const resumed: AttemptRef[] = [];
    const stopping: Lease[] = [];
    const stale: AttemptRef[] = [];
    for (const ref of hello.running) {
      const lease = leases.find(ref.task, ref.attempt);
      if (lease?.session !== session.id) {
        stale.push(ref);
        continue;
      }
      lease.isReceived = true;
      if (lease.state === "held" || lease.state === "ending") resumed.push(ref);
      else stopping.push(lease);
    }
    outbox.add(session.id, {
      type: "welcome",
      session: session.id,
      shard: this.#state.name.shard,
      pingIntervalMs: Math.floor(session.heartbeatLimitMs / PINGS_PER_LIMIT),
      heartbeatLimitMs: session.heartbeatLimitMs,
      resumeGraceMs: session.resumeGraceMs,
      resumed,
      stale,
    });
    // They may have changed since it asked which there are.
    if (this.#state.map.version > 1) outbox.add(session.id, shardsFrame(this.#state.map));
    // Its handlers may be at them: what they hold is free when it says so, as after any other cancel.
    for (const lease of stopping) this.#attempts.askAgainToStop(lease, now);
    if (session.isPaused !== (hello.isPaused === true)) {
      outbox.add(session.id, { type: session.isPaused ? "pause" : "resume" });
    }
    if (session.isDraining) outbox.add(session.id, { type: "drain" });
    if (known) this.#endUnknown(session, [...resumed, ...stopping]);
    const counts = { slots: session.slots, actions: hello.actions.length, resumed: resumed.length };
    const event = known ? "session.resumed" : "session.opened";
    log.info(event, { session_id: session.id, worker: session.worker, sdk: hello.sdk, ...counts });
    return session;
  }

  /** Attempts that were sent but that the worker doesn't know of went down with its old socket. */
  #endUnknown(session: Session, named: AttemptRef[]): void {
    const known = new Set(named.map(leaseKey));
    for (const lease of this.#state.leases.ofSession(session.id)) {
      if (known.has(leaseKey(lease))) continue;
      if (lease.state === "held") {
        this.#attempts.loseOnTheWay(lease, Date.now());
      } else {
        this.#attempts.release(lease);
      }
    }
  }

  #read(
    session: Session,
    frame: Exclude<WorkerFrame, HelloFrame>,
    bytes: number,
    isLarge: boolean,
    now: number,
  ): void {
    switch (frame.type) {
      case "received":
        return this.frames.receive(session, frame.attempts);
      case "pause":
        return this.readiness.pause(session, true);
      case "resume":
        return this.readiness.pause(session, false);
      case "drain":
        return this.readiness.drain(session);
      case "labels":
        return this.readiness.label(session, frame.labels);
      case "slots":
        return this.#credits.hear(session, frame);
      default:
        return this.frames.read(session, frame, bytes, isLarge, now);
    }
  }

  /** Ends a session and every attempt it had: other workers get their tasks. */
  #end(session: Session, reason: string, now: number): void {
    const { roster, storage, log } = this.#state;
    const rescued = this.#attempts.rescueAll(session, reason, now);
    roster.leave(session);
    this.#credits.forget(session);
    storage.deleteSession(session.id);
    this.#sockets.delete(session.id);
    this.#heardAt.delete(session.id);
    const fields = { session_id: session.id, worker: session.worker, reason, rescued };
    log[rescued > 0 ? "warn" : "info"]("session.ended", fields);
  }

  #close(session: Session): void {
    session.closedAt = Date.now();
    this.#attempts.noteDue(session.closedAt + session.resumeGraceMs);
    this.#sockets.delete(session.id);
    this.#heardAt.delete(session.id);
    // What is on its way will be asked for when the worker returns; until then nobody can say.
    for (const lease of this.#state.leases.ofSession(session.id)) lease.isReceived = true;
    this.#state.storage.writeSession(session.toRecord());
  }

  /** Its worker has come by another socket: the one it had is of no use any more. */
  #replace(session: Session): void {
    const socket = this.#sockets.get(session.id);
    if (socket) this.#refuse(socket, "session_replaced", "Its worker has a newer socket.");
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
