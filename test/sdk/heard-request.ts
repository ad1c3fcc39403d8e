/** A call of the API as the fake shard has heard it, and what a test answers. */
import type { IncomingMessage } from "node:http";

export interface HeardRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
  headers: IncomingMessage["headers"];
}
export interface Answer {
  status?: number;
  body?: unknown;
  headers?: Record<string, string>;
  /** Cuts the connection instead of answering. */
  isCut?: boolean;
}

export async function readRequest(request: IncomingMessage): Promise<HeardRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const url = new URL(request.url ?? "/", "http://loopback");
  return {
    method: request.method ?? "",
    path: url.pathname.replace("/api/v1", ""),
    query: url.searchParams,
    body: text === "" ? undefined : (JSON.parse(text) as unknown),
    headers: request.headers,
  };
}
