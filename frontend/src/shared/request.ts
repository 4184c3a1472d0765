/** Asking the server something on the visitor's behalf, and understanding its errors. */

import { ServerRefused, ServerUnreachable } from "./api";

const REQUEST_TIMEOUT_MS = 20_000;

export interface Asking {
  readonly method?: "GET" | "POST" | "DELETE";
  /** The whole value of `Authorization`. */
  readonly authorization?: string | null;
  readonly body?: string | FormData | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** The server's own words about an error, as they are in `error` of its answer. */
export class Refused extends ServerRefused {
  readonly code: string;
  readonly nextAction: string;
  readonly requestId: string | null;
  readonly retryAfterSeconds: number | null;
  /** The whole answer; of a 402 it has the invoice. */
  readonly body: Readonly<Record<string, unknown>>;

  constructor(response: Response, body: Readonly<Record<string, unknown>>) {
    const error = asObject(body["error"]);
    super(text(error["message"]) || `The server answered ${response.status}.`, response.status);
    this.code = text(error["code"]);
    this.nextAction = text(error["next_action"]);
    this.requestId = response.headers.get("X-Request-Id");
    this.retryAfterSeconds = seconds(response.headers.get("Retry-After"));
    this.body = body;
  }
}

/** One request whose answer is read by the caller. Rejects with `Refused`, `ServerUnreachable`, or an AbortError. */
export async function reach(path: string, asking: Asking = {}): Promise<Response> {
  const { method = asking.body == null ? "GET" : "POST", authorization, body, signal } = asking;
  const headers: Record<string, string> = { Accept: "application/json", ...asking.headers };
  if (typeof body === "string") headers["Content-Type"] = "application/json";
  if (authorization) headers["Authorization"] = authorization;
  let response: Response;
  try {
    response = await fetch(path, { method, headers, body: body ?? null, signal: signal ?? null });
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    throw new ServerUnreachable("No answer.", { cause });
  }
  if (response.ok) return response;
  throw new Refused(response, asObject(await readJson(response)));
}

/** The same for a short JSON answer, within twenty seconds. The shape is the server's promise. */
export async function ask<T>(path: string, asking: Asking = {}): Promise<T> {
  const limit = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const signal = asking.signal === undefined ? limit : AbortSignal.any([asking.signal, limit]);
  let response: Response;
  try {
    response = await reach(path, { ...asking, signal });
  } catch (error) {
    if (limit.aborted) throw new ServerUnreachable("No answer in time.", { cause: error });
    throw error;
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (response.status === 204 ? undefined : await readJson(response)) as T;
}

/** Whether the visitor, not a failure, ended a request. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

export function asObject(value: unknown): Readonly<Record<string, unknown>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function seconds(header: string | null): number | null {
  const value = Number(header ?? Number.NaN);
  return Number.isFinite(value) && value >= 0 ? value : null;
}
