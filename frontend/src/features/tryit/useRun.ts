import { useQueryClient } from "@tanstack/react-query";
import { type RefObject, useRef, useState } from "react";

import { type PayOutcome, type PayWish, usePaying } from "../../shared/payment";
import { Refused, isAbort } from "../../shared/request";
import { bearer } from "../../shared/wallet/balance";
import { type Funds, changeFunds } from "../../shared/wallet/funds";
import { type Payment, authorizationOf, paymentFrom } from "../../shared/wallet/payment";
import { maskedToken } from "../../shared/wallet/token";
import { changePayment, dropCarried, keepPayment, wallet } from "../../shared/wallet/wallet";
import { type Answer, NO_ANSWER } from "./answer";
import { type KeptRun, dropRun, keepRun } from "./keptRun";
import { type Cost, costOf, runCall } from "./run";

export type RunPhase = "idle" | "asking" | "running" | "waiting" | "done" | "stopped" | "failed";

export interface Run {
  readonly phase: RunPhase;
  readonly answer: Answer;
  readonly cost: Cost | null;
  readonly isReplay: boolean;
  readonly requestId: string | null;
  readonly error: Error | null;
  /** What can be fetched again. */
  readonly kept: KeptRun | null;
  readonly paidBy: Payment | null;
}

const IDLE: Run = {
  phase: "idle",
  answer: NO_ANSWER,
  cost: null,
  isReplay: false,
  requestId: null,
  error: null,
  kept: null,
  paidBy: null,
};

/** The answer is the payer's alone. */
export class PayerGone extends Error {
  override readonly name = "PayerGone";

  constructor() {
    super("What paid for this call is not in this browser any more, and its answer is given to nobody else.");
  }
}

export type PayFrom = "token" | "change" | "invoice";

export interface RunWish {
  readonly url: string;
  readonly page: string;
  readonly title: string;
  readonly body: string | FormData;
  readonly expectedSats: number | null;
}

/** Runs calls of one endpoint and pays for them. `heading` is where the focus goes once the pay dialog closes. */
export function useRun(heading: RefObject<HTMLElement | null>) {
  const paying = usePaying();
  const queries = useQueryClient();
  const [run, setRun] = useState<Run>(IDLE);
  const abort = useRef<AbortController | null>(null);

  async function start(wish: RunWish, from: PayFrom): Promise<void> {
    setRun({ ...IDLE, phase: "asking" });
    const funds = from === "invoice" ? await payFor(wish) : fundsOf(from);
    if (funds === null) setRun(IDLE);
    else await execute(wish, funds, crypto.randomUUID());
  }

  /** Runs with one payment and no other. */
  const startWith = (wish: RunWish, payment: Payment) =>
    execute(wish, fundsFrom(payment), crypto.randomUUID());

  /** The same call again: its answer is kept for it, and it is not charged twice. */
  async function fetchAgain(kept: KeptRun, wish: Omit<RunWish, "body">): Promise<void> {
    const funds = payerOf(kept);
    if (funds === null) {
      dropRun(kept.url);
      setRun({ ...IDLE, phase: "failed", error: new PayerGone() });
      return;
    }
    await execute({ ...wish, body: kept.body }, funds, kept.key);
  }

  async function execute(wish: RunWish, funds: Funds, key: string): Promise<void> {
    const kept = keptOf(wish, funds, key);
    if (kept !== null) keepRun(kept);
    const running: Run = { ...IDLE, phase: "running", kept, paidBy: funds.payment };
    setRun(running);
    abort.current = new AbortController();
    try {
      const ended = await runCall(
        { url: wish.url, body: wish.body, authorization: funds.authorization, key },
        abort.current.signal,
        (answer) => setRun({ ...running, answer }),
        () => setRun({ ...running, phase: "waiting" }),
      );
      dropRun(wish.url);
      const done: Run = { ...running, ...ended, phase: "done", kept: null };
      setRun(done);
      await account(funds, done);
    } catch (error) {
      await notDone(error, wish, funds, running);
    }
  }

  /** Looks up the cost, and remembers what is left. */
  async function account(funds: Funds, done: Run): Promise<void> {
    const { requestId, isReplay } = done;
    const cost = requestId === null || isReplay ? null : await costOf(funds.authorization, requestId);
    // Another run may have begun meanwhile.
    setRun((shown) => (shown.requestId === requestId ? { ...shown, cost } : shown));
    noteUsed(funds, cost?.balanceMsat ?? null);
    await queries.invalidateQueries({ queryKey: ["balance"] });
  }

  async function notDone(error: unknown, wish: RunWish, funds: Funds, running: Run): Promise<void> {
    const difference = differenceIn(error, wish, funds);
    if (difference !== null) {
      dropRun(wish.url);
      await payDifference(difference, wish, funds);
      return;
    }
    if (isAbort(error)) {
      noteUsed(funds, null);
      setRun((shown) => ({ ...shown, phase: "stopped" }));
    } else {
      const isRefusal = error instanceof Refused;
      if (isRefusal && error.status < 500) dropRun(wish.url);
      setRun((shown) => ({
        ...shown,
        phase: "failed",
        kept: isRefusal ? null : running.kept,
        error: error instanceof Error ? error : new Error("The call ended in an unknown way."),
        requestId: isRefusal ? error.requestId : shown.requestId,
      }));
    }
    await queries.invalidateQueries({ queryKey: ["balance"] });
  }

  async function payFor(wish: RunWish): Promise<Funds | null> {
    const outcome = await paying.pay(payWish(wish, heading));
    return outcome.is === "paid" ? fundsFrom(outcome.payment) : null;
  }

  /** The credential holds too little: the invoice over the rest takes its change along. */
  async function payDifference(offer: Payment, wish: RunWish, funds: Funds): Promise<void> {
    keepPayment(offer);
    const outcome: PayOutcome = await paying.pay({
      ...payWish(wish, heading),
      title: "Pay the difference",
      offer,
      ...(isPartOf(offer) ? { reason: "Your change covers the rest of this call." } : {}),
    });
    if (outcome.is === "again") {
      await execute(wish, funds, crypto.randomUUID());
      return;
    }
    if (outcome.is === "closed") {
      setRun(IDLE);
      return;
    }
    await execute(wish, fundsFrom(outcome.payment), crypto.randomUUID());
  }

  return { run, start, startWith, fetchAgain, stop: () => abort.current?.abort(), clear: () => setRun(IDLE) };
}

function fundsOf(from: "token" | "change"): Funds | null {
  const owned = wallet();
  if (from === "change") return changeFunds(owned);
  if (owned.token === null) return null;
  return { from, authorization: bearer(owned.token), availableMsat: null, payment: null };
}

/** What is left is asked for where it is not known. */
function noteUsed({ payment }: Funds, balanceMsat: number | null): void {
  if (payment === null) return;
  changePayment(payment.hash, { state: "used", usedAt: Date.now(), balanceMsat });
  dropCarried(payment);
}

/** The invoice asks for less than the call can cost: change pays a part. */
function isPartOf({ amountSats, maxMsat }: Payment): boolean {
  return maxMsat !== null && amountSats * 1_000 < maxMsat;
}

/** Who paid for a run, if it is still here: another one would pay again instead of getting its answer. */
function payerOf({ payer }: KeptRun): Funds | null {
  const owned = wallet();
  const payment = owned.payments.find(({ hash }) => hash === payer);
  if (payment !== undefined) return fundsFrom(payment);
  return owned.token !== null && maskedToken(owned.token) === payer ? fundsOf("token") : null;
}

function fundsFrom(payment: Payment): Funds {
  return { from: "change", authorization: authorizationOf(payment), availableMsat: null, payment };
}

function payWish(wish: RunWish, focusAfter: RefObject<HTMLElement | null>): PayWish {
  return {
    title: "Pay for one call",
    about: wish.title,
    page: wish.page,
    url: wish.url,
    body: wish.body,
    afterwards: "Running your call",
    focusAfter,
    ...(wish.expectedSats === null ? {} : { expectedSats: wish.expectedSats }),
  };
}

function differenceIn(error: unknown, wish: RunWish, funds: Funds): Payment | null {
  if (!(error instanceof Refused) || error.status !== 402) return null;
  const body = typeof wish.body === "string" ? wish.body : null;
  const carries = funds.payment?.hash ?? null;
  return paymentFrom(
    error.body,
    { title: wish.title, page: wish.page, request: { url: wish.url, body }, carries },
    Date.now(),
  );
}

function keptOf(wish: RunWish, funds: Funds, key: string): KeptRun | null {
  if (typeof wish.body !== "string") return null;
  const payer = funds.payment?.hash ?? maskedToken(wallet().token ?? "");
  return { url: wish.url, body: wish.body, key, payer, at: Date.now() };
}
