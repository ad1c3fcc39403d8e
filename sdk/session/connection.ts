/**
 * One worker's session with one shard, over as many sockets as it takes: connects, says hello,
 * resumes, and hands what it hears to `InFlight`. It decides nothing about attempts but when their
 * leases end.
 */
import { CLOSE_DRAINED, SESSION_ERRORS, type SessionErrorCode } from "../../protocol/errors.ts";
import type { Shard } from "../../protocol/http.ts";
import {
  type AttemptRef,
  type ErrorFrame,
  type HelloFrame,
  type LabelsFrame,
  PING,
  PONG,
  type ReceivedFrame,
  type ShardFrame,
  SUBPROTOCOL,
  TOKEN_SUBPROTOCOL_PREFIX,
  type WelcomeFrame,
} from "../../protocol/session.ts";
import type { CreditFrame, ShardsFrame } from "../../protocol/slot-frames.ts";
import { SessionError } from "../errors.ts";
import type { Labels } from "../labels.ts";
import { pause } from "../platform.ts";
import type { Report } from "../report.ts";
import type { Attempt, Route } from "./attempt.ts";
import { Heartbeat, leaseMarginMs } from "./heartbeat.ts";
import type { InFlight } from "./in-flight.ts";
import { LeaseEnd } from "./lease-end.ts";
import { framesOf, messageText, Outbox } from "./outbox.ts";
import { placeDelayMs, reconnectDelayMs } from "./reconnect.ts";
import type { Share } from "./share.ts";
import { Socket, why } from "./socket.ts";

/** Milliseconds from opening a socket to its welcome; a shard that has slept needs a few hundred. */
const WELCOME_LIMIT_MS = 10_000;

/** Milliseconds the other side's answer to a close is waited for. */
const CLOSE_LIMIT_MS = 1_000;

/** Faults that another try may not meet. */
const PASSING: ReadonlySet<SessionErrorCode> = new Set([
  "session_silent",
  "session_replaced",
  "too_many_handshakes",
]);

export type Greeting = Pick<
  HelloFrame,
  "worker" | "sdk" | "actions" | "versions" | "labels" | "heartbeatLimitMs" | "resumeGraceMs"
>;

export interface ConnectionOptions {
  shard: Shard;
  share: Share;
  /** Milliseconds before its first socket. */
  delayMs: number;
  /** The API's address. */
  url: string;
  token: string | undefined;
  greeting: Greeting;
  inFlight: InFlight;
  random: () => number;
  report: Report;
  /** Asked before every socket but the first: a refused upgrade doesn't say why, this does. */
  checkShards: () => Promise<void>;
  onShards: (frame: ShardsFrame) => void;
  /** The shard asks the whole worker to. */
  onAsked: (what: "pause" | "resume" | "drain") => void;
  /** Nothing will be better at another try. */
  onFatal: (error: Error) => void;
}

export class Connection implements Route {
  /** Resolves with the first welcome. */
  readonly ready: Promise<void>;
  /** Resolves once it has ended for good. */
  readonly ended: Promise<void>;
  readonly #options: ConnectionOptions;
  readonly #outbox = new Outbox();
  readonly #ending = new AbortController();
  #labels: Labels | undefined;
  #socket: Socket | null = null;
  #session: string | undefined;
  #welcome: WelcomeFrame | null = null;
  #heartbeat: Heartbeat | null = null;
  #helloAt = 0;
  /** Hello has been said on this socket, and its welcome has not come. */
  #isGreeting = false;
  readonly #leaseEnd = new LeaseEnd(() => this.#loseLeases());
  #openedAt = 0;
  #fault: ErrorFrame | null = null;
  #isPaused = false;
  /** It was paused or resumed while the shard could not be told. */
  #owesPause = false;
  /** Its labels have changed since hello, and the shard could not be told. */
  #owesLabels = false;
  #isDraining = false;
  #isReady: () => void = () => undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#labels = options.greeting.labels;
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    // What throws here (a token that no header can carry) would throw again at another try.
    this.ended = this.#stayConnected().catch(options.onFatal);
  }

  /** Hello has been said, and not been answered. */
  get isGreeting(): boolean {
    return this.#isGreeting;
  }

  get isWelcome(): boolean {
    return this.#welcome !== null;
  }

  send(frame: string): void {
    this.#outbox.frame(frame);
  }

  line(attempt: Attempt, line: string): void {
    this.#outbox.line(attempt, line);
  }

  /** Tells the shard how many slots it may use now. */
  credit(slots: number, of: number): void {
    this.send(JSON.stringify({ type: "slots", slots, of } satisfies CreditFrame));
  }

  /** Offers other labels: at once, with the welcome that is awaited, or in the next hello. */
  setLabels(labels: Labels): void {
    this.#labels = labels;
    this.#owesLabels = this.#isGreeting;
    this.send(JSON.stringify({ type: "labels", labels } satisfies LabelsFrame));
  }

  /** Asks the shard for no tasks, now and after every reconnect, or for tasks again. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#owesPause = !this.isWelcome;
    this.send(`{"type":"${isPaused ? "pause" : "resume"}"}`);
  }

  /** Asks the shard for no more tasks, now and after every reconnect. */
  drain(): void {
    this.#isDraining = true;
    this.send(`{"type":"drain"}`);
  }

  /** Ends it for good, telling the shard that this worker will not be back. */
  async close(): Promise<void> {
    const socket = this.#socket;
    this.#ending.abort();
    if (socket !== null) {
      socket.close(CLOSE_DRAINED, "drained");
      await Promise.race([socket.closed, pause(CLOSE_LIMIT_MS)]);
      socket.drop("drained");
    }
    await this.ended;
  }

  async #stayConnected(): Promise<void> {
    const { random, delayMs } = this.#options;
    const { signal } = this.#ending;
    const hasEnded = (): boolean => signal.aborted;
    if (delayMs > 0) await pause(delayMs, signal).catch(() => undefined);
    let failures = 0;
    let place = "";
    for (let isListed = true; !hasEnded();) {
      if (isListed || (await this.#canConnect())) {
        if (await this.#holdSession(place)) failures = 0;
      }
      if (hasEnded()) break;
      // One that has been given a place in line knows that the shard is there, and when to come back.
      const { retryAfterMs, place: given } = this.#fault ?? {};
      isListed = retryAfterMs !== undefined;
      place = given ?? "";
      const delay = isListed
        ? placeDelayMs(retryAfterMs ?? 0, random)
        : reconnectDelayMs(failures, random);
      await pause(delay, signal).catch(() => undefined);
      if (!isListed) failures += 1;
    }
    this.#leaseEnd.clear();
  }

  async #canConnect(): Promise<boolean> {
    try {
      await this.#options.checkShards();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.report("warn", `can't reach shard ${this.#options.shard.number}: ${why}`);
      return false;
    }
    return !this.#ending.signal.aborted;
  }

  /** One socket, from opening to its end. Tells whether the shard said welcome. */
  async #holdSession(place: string): Promise<boolean> {
    const { shard, report } = this.#options;
    this.#fault = null;
    this.#openedAt = Date.now();
    const socket = await Socket.open(this.#address(place), this.#protocols(), (text) =>
      this.#receive(text),
    );
    this.#socket = socket;
    const limit = setTimeout(() => {
      if (!this.isWelcome) socket.drop(`no welcome within ${WELCOME_LIMIT_MS} ms`);
    }, WELCOME_LIMIT_MS);
    void socket.opened.then(() => this.#sayHello(socket));
    const closed = await socket.closed;
    clearTimeout(limit);
    const wasWelcome = this.isWelcome;
    this.#leave(wasWelcome);
    if (!this.#ending.signal.aborted) {
      report(
        "warn",
        `${wasWelcome ? "lost" : "no"} connection to shard ${shard.number}${why(closed)}`,
      );
      this.#failOnFault();
    }
    return wasWelcome;
  }

  #address(place: string): string {
    const { url, shard } = this.#options;
    const said = new URLSearchParams({ place });
    if (this.#session !== undefined) said.set("session", this.#session);
    return `${url.replace(/^http/, "ws")}${shard.path}?${said.toString()}`;
  }

  #protocols(): string[] {
    const { token } = this.#options;
    return token === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX + token];
  }

  #sayHello(socket: Socket): void {
    const { greeting, inFlight, share } = this.#options;
    const hello: HelloFrame = {
      type: "hello",
      ...greeting,
      ...(this.#labels === undefined ? {} : { labels: this.#labels }),
      ...share.greet(),
      ...(this.#session === undefined ? {} : { session: this.#session }),
      running: inFlight.attemptsOf(this),
      ...(this.#isPaused && { isPaused: true }),
    };
    this.#helloAt = Date.now();
    this.#isGreeting = true;
    this.#owesLabels = false;
    socket.send(messageText([JSON.stringify(hello)]));
  }

  #receive(text: string): void {
    // It has said that it leaves: what came meanwhile is another worker's by now.
    if (this.#ending.signal.aborted) return;
    if (text === PONG) return this.#heartbeat?.pong();
    const frames = framesOf(text);
    this.#confirm(frames);
    for (const frame of frames) this.#take(frame);
    if (this.#owesPause && this.isWelcome) this.pause(this.#isPaused);
  }

  // At once, before a handler begins that may never yield: unconfirmed, a task goes to another worker.
  #confirm(frames: readonly ShardFrame[]): void {
    const attempts = frames
      .filter((frame) => frame.type === "task")
      .map(({ task, attempt }) => ({ task, attempt }));
    if (attempts.length === 0) return;
    const received: ReceivedFrame = { type: "received", attempts };
    this.#socket?.send(messageText([JSON.stringify(received)]));
    this.#heartbeat?.heed();
  }

  #take(frame: ShardFrame): void {
    const { inFlight } = this.#options;
    switch (frame.type) {
      case "task":
        inFlight.receive(frame, this);
        break;
      case "recorded":
        inFlight.settle(frame);
        break;
      case "stale":
      case "gone":
        this.#disown(frame);
        break;
      case "cancel":
        inFlight.cancel(frame, this);
        break;
      case "extended":
      case "returned":
      case "spawned":
      case "child":
        inFlight.answer(frame);
        break;
      case "welcome":
        this.#enter(frame);
        break;
      case "pause":
      case "resume":
        // With the welcome comes what the shard remembers: the worker may know better.
        if (!this.#owesPause) this.#options.onAsked(frame.type);
        break;
      case "drain":
        this.#options.onAsked(frame.type);
        break;
      case "slots":
        this.#options.share.answer();
        break;
      case "wanted":
        this.#options.share.want(frame);
        break;
      case "shards":
        this.#options.onShards(frame);
        break;
      case "error":
        this.#fault = frame;
        // The shard has put off the end of what it keeps, no earlier than it was asked.
        if (frame.resumeGraceMs !== undefined)
          this.#leaseEnd.putOff(frame.resumeGraceMs, this.#openedAt);
        break;
      default: // A newer shard may say more; what this worker doesn't know it can't need.
    }
  }

  #enter(welcome: WelcomeFrame): void {
    const { inFlight, report, shard } = this.#options;
    const socket = this.#socket;
    if (socket === null) return;
    this.#welcome = welcome;
    this.#isGreeting = false;
    this.#session = welcome.session;
    this.#leaseEnd.clear();
    for (const ref of welcome.stale) this.#disown(ref);
    this.#heartbeat = new Heartbeat(this.#helloAt, {
      pingIntervalMs: welcome.pingIntervalMs,
      limitMs: welcome.heartbeatLimitMs,
      graceMs: welcome.resumeGraceMs,
      isBusy: () => inFlight.attemptsOf(this).length > 0,
      ping: () => socket.send(PING),
      onEnd: () => {
        this.#loseLeases();
        socket.drop("the shard is silent");
      },
    });
    this.#outbox.open((message) => socket.send(message));
    inFlight.repeat(this);
    if (this.#owesLabels && this.#labels !== undefined) this.setLabels(this.#labels);
    if (this.#isDraining) this.drain();
    this.#options.share.open();
    report("info", `connected to shard ${shard.number}`);
    this.#isReady();
  }

  /** The attempt is not this worker's any more. A result it has may mean that work was done twice. */
  #disown(ref: AttemptRef): void {
    const attempt = this.#options.inFlight.settle(ref);
    if (attempt === undefined || attempt.result === null) return;
    const { step, run } = attempt.frame;
    const which = `step "${step}" of run ${run} (attempt ${ref.attempt})`;
    this.#options.report("warn", `the result of ${which} came too late and was not used`);
  }

  #leave(wasWelcome: boolean): void {
    const endsAt = this.#heartbeat?.endsAt ?? 0;
    const graceMs = this.#welcome?.resumeGraceMs ?? 0;
    this.#heartbeat?.stop();
    this.#heartbeat = null;
    this.#welcome = null;
    this.#socket = null;
    this.#isGreeting = false;
    this.#outbox.close();
    this.#options.share.close();
    if (!wasWelcome) return;
    // From its close on, which it may have seen before, the shard waits the grace: whichever ends first.
    this.#leaseEnd.set(Math.min(endsAt - Date.now(), graceMs - leaseMarginMs(graceMs)));
  }

  #loseLeases(): void {
    const { inFlight, report, shard } = this.#options;
    const lost = inFlight.loseLeases(this);
    if (lost === 0) return;
    report("warn", `gave up ${lost} tasks: no contact with shard ${shard.number}`);
    // The hello that is on its way names them: the shard would wait for what nobody runs any more.
    if (this.#isGreeting) this.#socket?.drop("hello named tasks that were given up since");
  }

  #failOnFault(): void {
    const fault = this.#fault;
    // A session that came too soon, was silent or taken over begins again; any other fault would come again.
    if (fault === null || PASSING.has(fault.code)) return;
    const title = SESSION_ERRORS[fault.code]?.title ?? "The shard ended the session";
    this.#options.onFatal(new SessionError(fault.code, `${title}: ${fault.detail}`));
  }
}
