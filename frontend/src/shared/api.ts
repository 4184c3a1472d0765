/** The server's JSON as the pages see it, and the one way to ask for it. */

const REQUEST_TIMEOUT_MS = 10_000;

/** One line of a price list. Amounts are null when the server has no bitcoin price or no dollar price. */
export interface Price {
  /** What is counted: `input_token`, `cached_input_token`, `cache_write_token`, `output_token`, `call`, … */
  readonly unit: string;
  /** How many units the amounts are for. */
  readonly per: number;
  /** Exact decimal dollars. */
  readonly usd: string | null;
  readonly msat: number | null;
  readonly sats: string | null;
}

export interface Model {
  readonly id: string;
  readonly prices: readonly Price[];
  readonly context: number | null;
  readonly max_output: number | null;
  readonly default_max_output: number | null;
  /** What a typical call costs: 500 tokens in and 300 out, or the flat price. */
  readonly typical_price_msat: number | null;
  /** The day upstream stops serving the model, `YYYY-MM-DD` in UTC. */
  readonly shutdown: string | null;
}

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

export interface Example {
  readonly content_type: string;
  /** The request of a JSON endpoint, ready to send. */
  readonly body: { readonly [key: string]: JsonValue } | null;
  /** The fields of a multipart endpoint. */
  readonly fields: { readonly [key: string]: JsonValue } | null;
}

export interface Endpoint {
  readonly method: string;
  /** Path below the API's name, as upstream calls it. */
  readonly path: string;
  /** Path on this server. */
  readonly url: string;
  readonly title: string;
  readonly content_type: string;
  readonly streaming: boolean;
  readonly limits: { readonly max_body_bytes: number };
  readonly models: readonly Model[];
  readonly example: Example | null;
}

export interface Api {
  readonly name: string;
  readonly default: boolean;
  readonly title: string;
  readonly available: boolean;
  /** One sentence, when it is not available. */
  readonly unavailable_reason: string | null;
  readonly endpoints: readonly Endpoint[];
}

export interface BtcPrice {
  readonly usd: string;
  readonly at: string;
  /** How old the price was when the server answered. */
  readonly age_seconds: number;
}

export interface Catalog {
  readonly demo: boolean;
  /** Null while the price feed has nothing; then nothing has a price in sats. */
  readonly btc_price: BtcPrice | null;
  readonly topup: {
    readonly enabled: boolean;
    readonly min_sats: number;
    readonly max_sats: number;
    readonly bare_claim_max_sats: number;
  };
  readonly apis: readonly Api[];
}

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

/** `GET /api/catalog`. Rejects with `ServerUnreachable` or `ServerRefused` within ten seconds. */
export async function fetchCatalog(signal: AbortSignal): Promise<Catalog> {
  return getJson<Catalog>("/api/catalog", signal);
}

async function getJson<T>(path: string, signal: AbortSignal): Promise<T> {
  const response = await reach(path, AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]));
  const body = await readJson(response);
  if (!response.ok) {
    throw new ServerRefused(errorMessage(body) ?? `The server answered ${response.status}.`, response.status);
  }
  if (body === undefined) throw new ServerUnreachable("The answer was not JSON.");
  // The type is the server's promise, not checked here: page and server are released together.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return body as T;
}

async function reach(path: string, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(path, { signal, headers: { Accept: "application/json" } });
  } catch (cause) {
    throw new ServerUnreachable("No answer.", { cause });
  }
}

/** Undefined when the body is not JSON, as the pages of proxies are not. */
async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

function errorMessage(body: unknown): string | null {
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  const { error } = body;
  if (typeof error !== "object" || error === null || !("message" in error)) return null;
  return typeof error.message === "string" ? error.message : null;
}
