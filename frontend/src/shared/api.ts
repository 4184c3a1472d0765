/** The server's JSON as the pages see it, and the way to ask for what is free. */

import createClient from "openapi-fetch";

import type {
  CodeExample as Program,
  EndpointDetail as Detail,
  ErrorRow as Row,
  Catalog as Whole,
  Health as Everything,
  paths,
} from "./openapi";

export type {
  Api,
  BtcPrice,
  Catalog,
  CodeExample,
  Endpoint,
  EndpointDetail,
  ErrorRow,
  Example,
  FileField,
  Health,
  JsonValue,
  Model,
  Parameters,
  Price,
  Quote,
} from "./openapi";

const REQUEST_TIMEOUT_MS = 10_000;

/** The server was not reached, or what answered was not this server. */
export class ServerUnreachable extends Error {
  override readonly name = "ServerUnreachable";
}

/** The server answered with an error. `message` is the server's own sentence when it gave one. */
export class ServerRefused extends Error {
  override readonly name = "ServerRefused";

  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

const client = createClient<paths>({ baseUrl: location.origin, fetch: (request) => fetch(request) });

/** What is sold. Every function here rejects with `ServerUnreachable` or `ServerRefused` within ten seconds. */
export async function fetchCatalog(signal: AbortSignal): Promise<Whole> {
  return answered(client.GET("/api/catalog", { signal: limited(signal) }));
}

/** One endpoint in full; `path` as in `/openai/v1/chat/completions`. */
export async function fetchEndpoint(api: string, path: string, signal: AbortSignal): Promise<Detail> {
  const params = { path: { api, path } };
  // A path stands in the address as it is: its slashes part it.
  const pathSerializer = () => `/api/catalog/${encodeURIComponent(api)}/${encodeURI(path)}`;
  return answered(
    client.GET("/api/catalog/{api}/{path}", { params, pathSerializer, signal: limited(signal) }),
  );
}

/** The table of errors, by status and code. */
export async function fetchErrors(signal: AbortSignal): Promise<readonly Row[]> {
  return (await answered(client.GET("/api/errors", { signal: limited(signal) }))).errors;
}

/** Programs that belong to no endpoint. */
export async function fetchExamples(signal: AbortSignal): Promise<readonly Program[]> {
  return (await answered(client.GET("/api/examples", { signal: limited(signal) }))).examples;
}

/** What was last heard of each part of the server. */
export async function fetchHealth(signal: AbortSignal): Promise<Everything> {
  return answered(client.GET("/api/health", { signal: limited(signal) }));
}

function limited(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
}

/** The body of a good answer; whatever else comes back, or nothing, is one of the two errors. */
async function answered<T>(
  asked: Promise<{ readonly data?: T; readonly error?: unknown; readonly response: Response }>,
): Promise<T> {
  let answer;
  try {
    answer = await asked;
  } catch (cause) {
    // Also where the body is not JSON, as the pages of proxies are not.
    throw new ServerUnreachable("No answer.", { cause });
  }
  const { data, error, response } = answer;
  if (!response.ok) {
    throw new ServerRefused(messageOf(error) ?? `The server answered ${response.status}.`, response.status);
  }
  if (data === undefined) throw new ServerUnreachable("The answer was empty.");
  return data;
}

function messageOf(body: unknown): string | null {
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  const { error } = body;
  if (typeof error !== "object" || error === null || !("message" in error)) return null;
  return typeof error.message === "string" ? error.message : null;
}
