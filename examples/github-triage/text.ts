/**
 * Which deliveries carry text that people wrote, and how to get at it: one reader a kind. Pure.
 * Only what the readers use is in the schema; the rest of a payload is dropped at the door.
 */
import * as z from "zod";

const user = z.object({ login: z.string() }).nullish();
const text = z.string().nullish();

const prose = z.object({
  html_url: z.string().optional(),
  title: text,
  body: text,
  user,
});

export const deliverySchema = z.object({
  action: z.string().optional(),
  repository: z.object({ full_name: z.string() }).optional(),
  organization: z.object({ login: z.string() }).optional(),
  sender: user,
  issue: prose.optional(),
  pull_request: prose
    .extend({
      additions: z.number().optional(),
      deletions: z.number().optional(),
      changed_files: z.number().optional(),
    })
    .optional(),
  discussion: prose.optional(),
  comment: prose.optional(),
  review: prose.optional(),
  thread: z.object({ comments: z.array(prose) }).optional(),
  release: z
    .object({ html_url: z.string(), tag_name: z.string(), name: text, body: text, author: user })
    .optional(),
  milestone: z
    .object({ html_url: z.string(), title: z.string(), description: text, creator: user })
    .nullish(),
  project_card: z.object({ url: z.string(), note: text, creator: user }).optional(),
  ref: z.string().nullish(),
  after: z.string().nullish(),
  commits: z.array(z.object({ message: z.string() })).optional(),
  head_commit: z
    .object({
      message: z.string(),
      added: z.array(z.string()),
      removed: z.array(z.string()),
      modified: z.array(z.string()),
    })
    .nullish(),
  security_advisory: z
    .object({ ghsa_id: z.string(), summary: z.string(), description: z.string() })
    .optional(),
  alert: z
    .object({
      html_url: z.string().optional(),
      security_advisory: z.object({ summary: z.string(), description: z.string() }).optional(),
    })
    .optional(),
});

/** What of a delivery's payload the demonstration reads. */
export type Delivery = z.output<typeof deliverySchema>;

/** The size of a change; lines are null where GitHub doesn't tell them (pushes). */
export interface Diff {
  additions: number | null;
  deletions: number | null;
  files: number;
}

export interface ExtractedText {
  /** The thing that was written about: the same in every delivery about it. */
  subject: string;
  title: string;
  body: string;
  author: string;
  diff: Diff | null;
}

type Reader = (delivery: Delivery) => Partial<ExtractedText>;

const READERS: Record<string, Reader> = {
  issues: ({ issue }) => read(issue),
  issue_comment: ({ issue, comment }) => read(comment, issue),
  pull_request: ({ pull_request: pull }) => ({
    ...read(pull),
    diff: {
      additions: pull?.additions ?? null,
      deletions: pull?.deletions ?? null,
      files: pull?.changed_files ?? 0,
    },
  }),
  pull_request_review: ({ pull_request: pull, review }) => read(review, pull),
  pull_request_review_comment: ({ pull_request: pull, comment }) => read(comment, pull),
  pull_request_review_thread: ({ pull_request: pull, thread }) => ({
    ...read(thread?.comments[0], pull),
    body: (thread?.comments ?? []).map((comment) => comment.body ?? "").join("\n"),
  }),
  commit_comment: ({ comment }) => read(comment),
  discussion: ({ discussion }) => read(discussion),
  discussion_comment: ({ discussion, comment }) => read(comment, discussion),
  release: ({ release }) => ({
    subject: release?.html_url ?? "",
    title: `${release?.tag_name ?? ""} ${release?.name ?? ""}`.trim(),
    body: release?.body ?? "",
    author: release?.author?.login ?? "",
  }),
  milestone: ({ milestone }) => ({
    subject: milestone?.html_url ?? "",
    title: milestone?.title ?? "",
    body: milestone?.description ?? "",
    author: milestone?.creator?.login ?? "",
  }),
  project_card: ({ project_card: card }) => ({
    subject: card?.url ?? "",
    body: card?.note ?? "",
    author: card?.creator?.login ?? "",
  }),
  push: readPush,
  security_advisory: ({ security_advisory: advisory }) => ({
    subject: advisory?.ghsa_id ?? "",
    title: advisory?.summary ?? "",
    body: advisory?.description ?? "",
  }),
  dependabot_alert: ({ alert }) => ({
    subject: alert?.html_url ?? "",
    title: alert?.security_advisory?.summary ?? "",
    body: alert?.security_advisory?.description ?? "",
  }),
};

/** The kinds of deliveries that carry text. */
export const TEXT_KINDS: readonly string[] = Object.keys(READERS);

/** The text of a delivery. A kind that carries none gives empty text about the repository. */
export function extractText(kind: string, delivery: Delivery): ExtractedText {
  const found = READERS[kind]?.(delivery) ?? {};
  return {
    subject: withoutHost(found.subject || whereabouts(delivery)),
    title: found.title ?? "",
    body: found.body ?? "",
    author: found.author || (delivery.sender?.login ?? "nobody"),
    diff: found.diff ?? null,
  };
}

/** The repository, organization or account that a delivery is about. */
export function whereabouts(delivery: Delivery): string {
  return (
    delivery.repository?.full_name ??
    delivery.organization?.login ??
    delivery.sender?.login ??
    "GitHub"
  );
}

function read(
  written: z.output<typeof prose> | undefined,
  about = written,
): Omit<ExtractedText, "diff"> {
  return {
    subject: written?.html_url ?? "",
    title: about?.title ?? "",
    body: written?.body ?? "",
    author: written?.user?.login ?? "",
  };
}

function readPush({
  repository,
  ref,
  after,
  commits,
  head_commit: head,
}: Delivery): ReturnType<Reader> {
  // A tag's push names no commits of its own, only the one it points to.
  const messages = commits?.length
    ? commits.map((commit) => commit.message)
    : [head?.message ?? ""];
  const files = head ? head.added.length + head.removed.length + head.modified.length : 0;
  return {
    subject: `${repository?.full_name ?? ""}/push/${(after ?? "").slice(0, 7)}`,
    title: (ref ?? "").replace(/^refs\/(heads|tags)\//, ""),
    body: messages.join("\n"),
    diff: { additions: null, deletions: null, files },
  };
}

function withoutHost(address: string): string {
  return address.replace(/^https:\/\/(api\.)?github\.com\//, "");
}
