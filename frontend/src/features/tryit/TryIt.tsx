import { useRef, useState } from "react";

import type { Api, Endpoint } from "../../shared/api";
import { useEndpoint } from "../../shared/useEndpoint";
import { Notice } from "../../shared/ui/Notice";
import { useBalance, useChangeBalance } from "../../shared/wallet/balance";
import { changeFunds } from "../../shared/wallet/funds";
import { useWallet } from "../../shared/wallet/wallet";
import { AnswerBox } from "./AnswerBox";
import { Unfinished } from "./Unfinished";
import { type Draft, bodyOf, draftOf, missingFile } from "./request";
import { RequestForm } from "./RequestForm";
import { RunBar } from "./RunBar";
import { type PayFrom, type RunPhase, useRun } from "./useRun";
import { refusalIn, useQuote } from "./useQuote";

const NO_PROPERTIES = {};

interface TryItProps {
  readonly api: Api;
  readonly endpoint: Endpoint;
  /** Told which model was chosen, for what stands beside the form. */
  readonly onModel?: (id: string) => void;
}

/** A form for one endpoint that is paid for and answered here. */
export function TryIt({ api, endpoint, onModel }: TryItProps) {
  const [draft, setDraft] = useState<Draft>(() => draftOf(endpoint));
  const heading = useRef<HTMLHeadingElement>(null);
  const { run, start, startWith, fetchAgain, stop } = useRun(heading);
  const owned = useWallet();
  const { data: balance } = useBalance(owned.token);
  useChangeBalance();
  const { data: detail } = useEndpoint(api.name, endpoint);

  const body = bodyOf(draft);
  const model = endpoint.models.find(({ id }) => id === draft.body["model"]);
  const paused = model?.paused === true ? model.id : null;
  const { data: quote, error: quoteError } = useQuote(
    endpoint.url,
    typeof body === "string" && paused === null ? body : null,
  );
  const page = `/catalog${endpoint.url}`;
  const wish = {
    url: endpoint.url,
    page,
    title: [model?.id, endpoint.title].filter(Boolean).join(" · "),
    expectedSats: quote?.amount_sats ?? null,
  };

  function change(next: Draft) {
    const chosen = next.body["model"];
    if (typeof chosen === "string" && chosen !== draft.body["model"]) onModel?.(chosen);
    setDraft(next);
  }

  if (!api.available) {
    return (
      <Notice look="warn" title={`${api.title} is not for sale right now`}>
        {api.unavailable_reason} You cannot be charged: no invoice is made until it is back.
      </Notice>
    );
  }
  return (
    <div className="grid gap-6">
      <Unfinished
        page={page}
        url={endpoint.url}
        busy={isBusy(run.phase) || run.phase === "asking"}
        onFetch={(kept) => void fetchAgain(kept, wish)}
        onRun={(payment) => void startWith({ ...wish, body: payment.request.body ?? body }, payment)}
      />
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
        }}
      >
        <RequestForm
          endpoint={endpoint}
          properties={detail?.parameters.properties ?? NO_PROPERTIES}
          draft={draft}
          onChange={change}
        />
        <RunBar
          busy={isBusy(run.phase)}
          asking={run.phase === "asking"}
          paused={paused}
          missing={missingFile(draft)}
          refusal={refusalIn(quoteError)}
          ceilingMsat={quote?.max_price_msat ?? null}
          invoiceSats={quote?.amount_sats ?? null}
          typicalMsat={quote?.typical_price_msat ?? model?.typical_price_msat ?? null}
          tokenMsat={owned.token === null ? null : (balance?.available_msat ?? null)}
          hasToken={owned.token !== null}
          change={changeFunds(owned)}
          onRun={(from: PayFrom) => void start({ ...wish, body }, from)}
          onStop={stop}
        />
      </form>
      {run.phase === "idle" || run.phase === "asking" ? null : (
        <AnswerBox
          run={run}
          heading={heading}
          onFetch={() => (run.kept === null ? undefined : void fetchAgain(run.kept, wish))}
          onPayOnce={() => void start({ ...wish, body }, "invoice")}
        />
      )}
    </div>
  );
}

function isBusy(phase: RunPhase): boolean {
  return phase === "running" || phase === "waiting";
}
