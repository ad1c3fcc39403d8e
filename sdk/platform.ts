/**
 * What the SDK needs from where it runs (Node, Bun, Deno, a browser) beyond the web's own globals.
 * Everything here may be missing: nothing else in the SDK may touch `globalThis`.
 */

/** Node's `process`, as far as it is used. Bun and Deno have it too; a browser does not. */
export interface HostProcess {
  readonly env: { readonly [name: string]: string | undefined };
  readonly pid: number;
  on(signal: string, listener: () => void): unknown;
  off(signal: string, listener: () => void): unknown;
}

/** The host's process, or undefined in a browser. */
export function hostProcess(): HostProcess | undefined {
  const host = (globalThis as unknown as { process?: Partial<HostProcess> }).process;
  return typeof host?.on === "function" && host.env !== undefined
    ? (host as HostProcess)
    : undefined;
}

/** A variable of the environment; undefined when it is empty or there is no environment. */
export function environment(name: string): string | undefined {
  const value = hostProcess()?.env[name];
  return value === undefined || value === "" ? undefined : value;
}

/** The WebSocket of the browser, Node's and `ws`, as far as the SDK uses it. */
export interface PlatformSocket {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  /** Only `ws` has it: closes without waiting for the other side. */
  terminate?(): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(
    type: "close",
    listener: (event: { code: number; reason: string }) => void,
  ): void;
}
type SocketConstructor = new (url: string, protocols: string[]) => PlatformSocket;

/** The platform's WebSocket, or that of `ws` where it has none (Node 20). */
export async function socketConstructor(): Promise<SocketConstructor> {
  const own = (globalThis as unknown as { WebSocket?: SocketConstructor }).WebSocket;
  if (own !== undefined) return own;
  // Not a literal: a browser's bundle must not carry it, and its types would bring Node's with them.
  const fallback: string = "ws";
  const loaded = (await import(fallback)) as { WebSocket: SocketConstructor };
  return loaded.WebSocket;
}

/** Resolves after `ms`; rejects with the signal's reason when that comes first. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
