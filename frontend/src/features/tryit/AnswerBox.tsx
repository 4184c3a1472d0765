import { ArrowDown } from "lucide-react";
import { type RefObject, useRef } from "react";

import { ServerUnreachable } from "../../shared/api";
import { exactMsat } from "../../shared/money";
import { Refused } from "../../shared/request";
import { Button, ButtonLink } from "../../shared/ui/Button";
import { SatsOwned, SatsPrice } from "../../shared/ui/Sats";
import { AnswerView } from "./AnswerView";
import { useFollowedEnd } from "./useFollowedEnd";
import { PayerGone, type Run, type RunPhase } from "./useRun";
import { useWholeAnswers } from "./wholeAnswers";

interface AnswerBoxProps {
  readonly run: Run;
  readonly heading: RefObject<HTMLHeadingElement | null>;
  readonly onFetch: () => void;
  readonly onPayOnce: () => void;
}

const SAYS: Record<RunPhase, string> = {
  idle: "",
  asking: "",
  running: "Answer is coming",
  waiting: "Waiting for the answer",
  done: "Complete",
  stopped: "Stopped",
  failed: "No answer",
};

/** The answer as it comes, and in a line that is there from the start, what it cost. */
export function AnswerBox({ run, heading, onFetch, onPayOnce }: AnswerBoxProps) {
  const { phase, answer } = run;
  const isComing = phase === "running" || phase === "waiting";
  const end = useRef<HTMLDListElement>(null);
  const { isAway, jump } = useFollowedEnd(end, isComing);
  const isHeldBack = useWholeAnswers() && isComing;
  return (
    <section aria-labelledby="answer-title" className="min-w-0 rounded-card border border-line bg-surface">
      <div className="flex items-center justify-between gap-4 border-b border-line px-4 py-2.5">
        <h2 id="answer-title" ref={heading} tabIndex={-1} className="text-control font-semibold outline-none">
          Answer
        </h2>
        <span className="flex items-center gap-2 text-note text-ink2">
          <span
            aria-hidden="true"
            className={`size-2 rounded-full ${isComing ? "bg-accent" : phase === "done" ? "bg-ok" : "bg-warn"}`}
          />
          {SAYS[phase]}
        </span>
      </div>
      <p role="status" className="sr-only">
        {statusText(run)}
      </p>
      <div aria-busy={isComing} className="min-h-32 min-w-0 px-4 py-4">
        {isHeldBack ? (
          <p className="text-note text-ink2">It is shown once it is complete.</p>
        ) : (
          <AnswerView answer={answer} />
        )}
        {phase === "stopped" ? <Stopped run={run} onFetch={onFetch} /> : null}
        {phase === "failed" ? <Failed run={run} onFetch={onFetch} onPayOnce={onPayOnce} /> : null}
      </div>
      {isAway ? (
        // Takes no room, so that what is read does not move.
        <div className="sticky bottom-4 z-10 h-0">
          <Button onClick={jump} className="absolute bottom-0 left-1/2 -translate-x-1/2 shadow-layer">
            <ArrowDown aria-hidden="true" className="size-4" strokeWidth={1.75} />
            Jump to end
          </Button>
        </div>
      ) : null}
      <Footer run={run} end={end} />
    </section>
  );
}

interface FooterProps {
  readonly run: Run;
  readonly end: RefObject<HTMLDListElement | null>;
}

function Footer({ run: { phase, cost, isReplay, requestId }, end }: FooterProps) {
  return (
    <dl
      ref={end}
      tabIndex={-1}
      className="flex scroll-mb-4 min-h-11 flex-wrap items-center gap-x-6 gap-y-1 border-t border-line px-4 py-2 text-note outline-none"
    >
      <div className="flex gap-1.5">
        <dt className="text-ink2">Cost</dt>
        <dd className="tabular-nums">
          {cost === null ? (
            costText(phase, isReplay)
          ) : (
            <>
              <SatsPrice msat={cost.chargeMsat} />{" "}
              <span className="text-ink2">({exactMsat(cost.chargeMsat)})</span>
            </>
          )}
        </dd>
      </div>
      {cost === null ? null : (
        <div className="flex gap-1.5">
          <dt className="text-ink2">Left</dt>
          <dd>
            <SatsOwned msat={cost.balanceMsat} />
          </dd>
        </div>
      )}
      {requestId === null ? null : (
        <div className="flex min-w-0 gap-1.5">
          <dt className="text-ink2">Request</dt>
          <dd className="font-mono text-meta leading-5 wrap-anywhere">{requestId}</dd>
        </div>
      )}
    </dl>
  );
}

function costText(phase: RunPhase, isReplay: boolean): string {
  if (phase === "done") return isReplay ? "nothing, it was paid before" : "see your account";
  if (phase === "failed") return "nothing";
  return phase === "stopped" ? "what the answer costs" : "…";
}

function statusText({ phase, answer, cost }: Run): string {
  if (phase === "running") return "Answer is coming";
  if (phase === "waiting") return "The call still runs. Waiting for its answer";
  if (phase !== "done") return "";
  const words = answer.text.split(/\s+/).filter(Boolean).length;
  const price = cost === null ? "" : `, ${exactMsat(cost.chargeMsat)}`;
  return `Answer complete${words > 0 ? `, ${words} words` : ""}${price}`;
}

function Stopped({ run, onFetch }: { readonly run: Run; readonly onFetch: () => void }) {
  return (
    <div className="mt-4 grid justify-items-start gap-3 text-note text-ink2">
      <p>
        You stopped listening. The call is read to its end and paid for; its answer is kept, and fetching it
        is free.
      </p>
      {run.kept === null ? null : <Button onClick={onFetch}>Fetch the answer</Button>}
    </div>
  );
}

interface FailedProps {
  readonly run: Run;
  readonly onFetch: () => void;
  readonly onPayOnce: () => void;
}

function Failed({ run: { error, kept, paidBy }, onFetch, onPayOnce }: FailedProps) {
  const isPoor = error instanceof Refused && error.code === "insufficient_balance";
  return (
    <div role="alert" className="grid justify-items-start gap-3">
      <div>
        <p className="text-control font-semibold">{failureTitle(error, paidBy !== null)}</p>
        <p className="mt-1 text-note text-ink2">
          {error?.message} {error instanceof Refused ? error.nextAction : ""}
        </p>
        {error instanceof Refused && error.code !== "" ? (
          <p className="mt-1 font-mono text-meta text-ink3">{error.code}</p>
        ) : null}
      </div>
      {kept === null ? null : <Button onClick={onFetch}>Fetch the answer</Button>}
      {isPoor ? (
        <div className="flex flex-wrap gap-2">
          <ButtonLink to="/topup?refill" look="pay">
            Refill
          </ButtonLink>
          <Button onClick={onPayOnce}>Pay this one call</Button>
        </div>
      ) : null}
    </div>
  );
}

function failureTitle(error: Error | null, isPaid: boolean): string {
  if (error instanceof PayerGone) return "This answer cannot be fetched here";
  if (error instanceof ServerUnreachable || !(error instanceof Refused)) {
    return "The connection was lost. Your answer is kept, and is not paid twice";
  }
  return isPaid ? "Nothing was spent. What you paid is kept here" : "Nothing was charged";
}
