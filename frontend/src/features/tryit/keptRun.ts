/** A run that has not ended here: enough to ask for its answer again, whatever happened to the tab. */

import { asObject, text } from "../../shared/request";
import { KEPT_BODY_MAX_CHARACTERS } from "../../shared/wallet/payment";
import { forEver } from "../../shared/wallet/storage";

const PREFIX = "run:";
const KEPT_FOR_MS = 24 * 3_600_000;

export interface KeptRun {
  readonly url: string;
  readonly body: string;
  readonly key: string;
  /** The hash of the payment that pays, or the ends of the token: the whole of it is not written down here. */
  readonly payer: string;
  readonly at: number;
}

/** Remember a run before it is sent. Uploads and long requests are not kept. */
export function keepRun(run: KeptRun): void {
  if (run.body.length <= KEPT_BODY_MAX_CHARACTERS) forEver.write(PREFIX + run.url, JSON.stringify(run));
}

export function dropRun(url: string): void {
  forEver.write(PREFIX + url, null);
}

/** The run of an endpoint that did not end, for as long as the server may have its answer. */
export function keptRun(url: string, now: number): KeptRun | null {
  let stored: unknown;
  try {
    stored = JSON.parse(forEver.read(PREFIX + url) ?? "null");
  } catch {
    return null;
  }
  const { body, key, payer, at } = asObject(stored);
  if (text(body) === "" || text(key) === "" || typeof at !== "number" || at < now - KEPT_FOR_MS) return null;
  return { url, body: text(body), key: text(key), payer: text(payer), at };
}
