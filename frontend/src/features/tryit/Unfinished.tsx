import { useState } from "react";

import { clockText } from "../../shared/time";
import { Button } from "../../shared/ui/Button";
import { SatsOwned } from "../../shared/ui/Sats";
import { useNow } from "../../shared/useNow";
import type { Payment } from "../../shared/wallet/payment";
import { leftMsat, unused } from "../../shared/wallet/funds";
import { useWallet } from "../../shared/wallet/wallet";
import { type KeptRun, dropRun, keptRun } from "./keptRun";

interface UnfinishedProps {
  readonly page: string;
  readonly url: string;
  readonly busy: boolean;
  readonly onFetch: (run: KeptRun) => void;
  /** Run with this payment: the request it was made for, where that was kept. */
  readonly onRun: (payment: Payment) => void;
}

/** What an earlier visit left on this endpoint: a call that was paid and not run, or an answer not received. */
export function Unfinished({ page, url, busy, onFetch, onRun }: UnfinishedProps) {
  const [run, setRun] = useState(() => keptRun(url, Date.now()));
  useNow();
  const paid = unused(useWallet()).find((payment) => payment.page === page && payment.kind === "call");
  if (busy) return null;
  if (run !== null) {
    return (
      <Strip title={`A call of ${clockText(run.at)} did not end here`}>
        <p>Its answer is kept for a while; fetching it costs nothing more.</p>
        <span className="flex flex-wrap gap-2">
          <Button
            onClick={() => {
              setRun(null);
              onFetch(run);
            }}
          >
            Fetch the answer
          </Button>
          <Button
            look="plain"
            onClick={() => {
              dropRun(url);
              setRun(null);
            }}
          >
            Forget it
          </Button>
        </span>
      </Strip>
    );
  }
  if (paid === undefined) return null;
  return (
    <Strip title="A call is paid and was not run">
      <p>
        <SatsOwned msat={leftMsat(paid)} /> wait here for {paid.title}.
      </p>
      <Button onClick={() => onRun(paid)}>Run it now</Button>
    </Strip>
  );
}

function Strip({ title, children }: { readonly title: string; readonly children: React.ReactNode }) {
  return (
    <section
      aria-label={title}
      className="flex flex-wrap items-center justify-between gap-x-6 gap-y-3 rounded-card border border-line bg-accentsoft px-4 py-3 text-note"
    >
      <div className="min-w-0 flex-1 basis-64">
        <p className="font-semibold">{title}</p>
      </div>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2 text-ink2">{children}</div>
    </section>
  );
}
