/** A Worker with the shard's class name and nothing of Skein: for tests of the runtime around it. */
import { DurableObject } from "cloudflare:workers";

interface Env {
  ADMIN_SECRET: string;
  DISPATCHER: DurableObjectNamespace<DispatcherShard>;
}

export class DispatcherShard extends DurableObject<Env> {
  #instance = crypto.randomUUID();

  override fetch(request: Request): Response {
    if (request.headers.get("upgrade") === "websocket") {
      const { 0: theirs, 1: ours } = new WebSocketPair();
      this.ctx.acceptWebSocket(ours);
      return new Response(null, { status: 101, webSocket: theirs });
    }
    const visits = (this.ctx.storage.kv.get<number>("visits") ?? 0) + 1;
    this.ctx.storage.kv.put("visits", visits);
    return Response.json({ visits, instance: this.#instance });
  }

  override webSocketMessage(socket: WebSocket): void {
    socket.send(this.#instance);
  }
}

/** The other classes that every Worker of ours has. */
export class QueueDrain extends DurableObject<Env> {}
export class ScheduleClock extends DurableObject<Env> {}

let scheduledRuns = 0;

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    if (new URL(request.url).pathname === "/health") {
      console.log(JSON.stringify({ level: "info", event: "health_asked" }));
      return Response.json({ status: "ok", secret: env.ADMIN_SECRET, scheduledRuns });
    }
    return env.DISPATCHER.getByName("tenant-0").fetch(request);
  },
  scheduled(): void {
    scheduledRuns++;
  },
};
