/** How a step reaches the provider. It never repeats a call: whether and when is the engine's affair. */
import * as z from "zod";

const answerSchema = z.object({
  text: z.string(),
  usage: z.object({ total_tokens: z.number() }),
});

export interface Completion {
  customer: string;
  prompt: string;
  maxTokens: number;
}

export type CompletionAnswer =
  | { isRefused: false; text: string; usedTokens: number }
  | { isRefused: true; retryAfterMs: number };

export async function askProvider(
  { customer, prompt, maxTokens }: Completion,
  { signal }: { signal: AbortSignal },
): Promise<CompletionAnswer> {
  const response = await fetch(`${providerUrl()}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ user: customer, prompt, max_tokens: maxTokens }),
    signal,
  });
  if (response.status === 429) {
    await response.body?.cancel();
    return { isRefused: true, retryAfterMs: Number(response.headers.get("retry-after")) * 1_000 };
  }
  if (!response.ok) {
    throw new Error(`The provider answered ${response.status}: ${await response.text()}`);
  }
  const { text, usage } = answerSchema.parse(await response.json());
  return { isRefused: false, text, usedTokens: usage.total_tokens };
}

function providerUrl(): string {
  const url = process.env["PROVIDER_URL"];
  if (url === undefined) throw new Error("PROVIDER_URL is not set: run.ts sets it for its workers");
  return url;
}
