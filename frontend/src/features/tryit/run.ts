/** One paid call, from its request to its cost. */

import { Refused, ask, isAbort, reach } from "../../shared/request";
import { type Answer, readAnswer } from "./answer";

const WAITS_MAX_COUNT = 30;
const WAIT_DEFAULT_SECONDS = 2;
const COST_TRIES = 5;
const COST_WAIT_MS = 300;
const USAGE_ENTRIES = 20;

export interface Call {
  readonly url: string;
  readonly body: string | FormData;
  readonly authorization: string;
  /** A repeat with the same key is answered with the first answer, never charged again. */
  readonly key: string;
}

export interface Ended {
  readonly answer: Answer;
  readonly requestId: string | null;
  /** The answer was paid for by an earlier call. */
  readonly isReplay: boolean;
}

export interface Cost {
  readonly chargeMsat: number;
  readonly balanceMsat: number;
}

interface UsageEntry {
  readonly type: string;
  readonly request_id: string | null;
  readonly amount_msat: number;
  readonly balance_msat: number;
}

/** Sends the call and reads its answer. While the same call still runs somewhere, waits for it. */
export async function runCall(
  call: Call,
  signal: AbortSignal,
  onUpdate: (answer: Answer) => void,
  onWaiting: () => void,
): Promise<Ended> {
  for (let waits = 0; ; waits += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      return await send(call, signal, onUpdate);
    } catch (error) {
      if (!isRunning(error) || waits >= WAITS_MAX_COUNT) throw error;
      onWaiting();
      // oxlint-disable-next-line no-await-in-loop
      await pause((error.retryAfterSeconds ?? WAIT_DEFAULT_SECONDS) * 1_000, signal);
    }
  }
}

async function send(call: Call, signal: AbortSignal, onUpdate: (answer: Answer) => void): Promise<Ended> {
  const response = await reach(call.url, {
    body: call.body,
    authorization: call.authorization,
    headers: { Accept: "*/*", "X-Payment-Proof": "node", "Idempotency-Key": call.key },
    signal,
  });
  const answer = await readAnswer(response, onUpdate);
  return {
    answer,
    requestId: response.headers.get("X-Request-Id"),
    isReplay: response.headers.get("X-Answer-Replayed") === "true",
  };
}

/** What a call cost and what is left, from the account's history: exact for every endpoint. Null where it is not there. */
export async function costOf(authorization: string, requestId: string): Promise<Cost | null> {
  for (let tries = 0; tries < COST_TRIES; tries += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      const { entries } = await ask<{ readonly entries: readonly UsageEntry[] }>(
        `/api/usage?limit=${USAGE_ENTRIES}`,
        { authorization },
      );
      const charge = entries.find((entry) => entry.request_id === requestId && entry.type === "charge");
      const [newest] = entries;
      if (charge !== undefined) {
        return { chargeMsat: -charge.amount_msat, balanceMsat: newest?.balance_msat ?? charge.balance_msat };
      }
    } catch (error) {
      if (isAbort(error)) throw error;
    }
    // The settlement is written in the moment of delivery, which may be a moment after ours.
    // oxlint-disable-next-line no-await-in-loop
    await pause(COST_WAIT_MS);
  }
  return null;
}

function isRunning(error: unknown): error is Refused {
  return error instanceof Refused && error.status === 409;
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("Aborted", "AbortError"));
    });
  });
}
