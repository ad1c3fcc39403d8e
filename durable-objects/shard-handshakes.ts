/**
 * Lets workers in, not too many in a second. One that is sent away costs next to nothing: its socket is
 * never the platform's to keep, and nobody has read a word of it. What it has in its hands stays its own
 * until it can have come back.
 */
import { SESSION_ERRORS } from "../protocol/errors.ts";
import { type ErrorFrame, SUBPROTOCOL } from "../protocol/session.ts";
import { Handshakes } from "./dispatcher/handshakes.ts";
import { LATE_FOR_PLACE_MS, MAX_KEPT_MS } from "./dispatcher/limits.ts";
import { Refusals } from "./dispatcher/refusals.ts";
import type { Session } from "./dispatcher/roster.ts";
import type { ShardState } from "./shard-state.ts";
import { type Attachment, sendFrames } from "./worker-sockets.ts";

const CODE = "too_many_handshakes";

export class ShardHandshakes {
  #state: ShardState;
  #context: DurableObjectState;
  #handshakes = new Handshakes();
  #refusals = new Refusals();

  constructor(state: ShardState, context: DurableObjectState) {
    this.#state = state;
    this.#context = context;
  }

  /** How many were sent away since this life of the shard began. */
  get refused(): number {
    return this.#refusals.count;
  }

  /** When those are told of in the log that have not been. */
  get nextDue(): number {
    return this.#refusals.nextDue;
  }

  /** Tells of them, if it is time. */
  report(now: number): void {
    const report = this.#refusals.takeReport(now);
    if (report) this.#state.log.warn("handshakes.refused", { ...report });
  }

  /**
   * The answer to a worker's upgrade.
   * @param replace Ends the socket that a session still has whose worker has come by another.
   */
  admit(request: Request, replace: (session: Session) => void): Response {
    const asked = new URL(request.url).searchParams;
    const session = this.#state.roster.findWorker(asked.get("session") ?? "");
    const place = asked.get("place");
    const now = Date.now();
    const admission = this.#handshakes.admit(session !== undefined, place, now);
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    if (admission.isAdmitted) {
      this.#context.acceptWebSocket(server);
      server.serializeAttachment({ connectedAt: now } satisfies Attachment);
    } else {
      const { retryAfterMs } = admission;
      this.#refusals.note(retryAfterMs);
      this.report(now);
      if (session !== undefined && session.closedAt === undefined) replace(session);
      sendAway(server, place !== null, {
        type: "error",
        code: CODE,
        detail: `${SESSION_ERRORS[CODE].title}. Come back in ${retryAfterMs} ms.`,
        retryAfterMs,
        place: admission.place,
        ...(session && { resumeGraceMs: this.#keep(session, retryAfterMs, now) }),
      });
    }
    const headers = { "sec-websocket-protocol": SUBPROTOCOL };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /** Keeps a session until its worker can have come back; says how long from now on it is kept. */
  #keep(session: Session, retryAfterMs: number, now: number): number {
    const { closedAt = now, resumeGraceMs } = session;
    const until = Math.min(now + retryAfterMs + LATE_FOR_PLACE_MS, closedAt + MAX_KEPT_MS);
    if (until > closedAt + resumeGraceMs) {
      session.resumeGraceMs = until - closedAt;
      this.#state.storage.writeGrace(session.id, session.resumeGraceMs);
    }
    return Math.max(0, closedAt + session.resumeGraceMs - now);
  }
}

/** A worker that says no place knows of none: it is told by the close alone, and comes back by itself. */
function sendAway(socket: WebSocket, knowsPlaces: boolean, frame: ErrorFrame): void {
  socket.accept();
  if (knowsPlaces) sendFrames(socket, [frame]);
  socket.close(SESSION_ERRORS[CODE].close, CODE);
}
