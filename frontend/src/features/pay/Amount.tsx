import { NO_BREAK_SPACE, aboutUsd, grouped } from "../../shared/money";
import { SatsPrice } from "../../shared/ui/Sats";
import type { Payment } from "../../shared/wallet/payment";

interface AmountProps {
  readonly sats: number;
  readonly kind: Payment["kind"];
  readonly typicalMsat: number | null;
  readonly bitcoinUsd: string | null;
  /** Why this comes on top of what was paid. */
  readonly reason?: string;
}

/** What the invoice asks, what of it a call will probably need, and whose the rest is. */
export function Amount({ sats, kind, typicalMsat, bitcoinUsd, reason }: AmountProps) {
  const fiat = bitcoinUsd === null ? null : aboutUsd(sats * 1_000, bitcoinUsd);
  return (
    <div>
      {reason === undefined ? null : <p className="mb-1 text-note text-ink2">{reason}</p>}
      <div className="flex flex-wrap items-baseline justify-between gap-x-4">
        <p className="text-h1 font-semibold tabular-nums">
          {grouped(String(sats))}
          {NO_BREAK_SPACE}
          <span className="text-h2 font-normal text-ink2">{sats === 1 ? "sat" : "sats"}</span>
        </p>
        {typicalMsat === null ? null : (
          <p className="text-note text-ink2">
            typically <SatsPrice msat={typicalMsat} />
          </p>
        )}
      </div>
      <p className="flex flex-wrap justify-between gap-x-4 text-note text-ink2">
        <span>{[kind === "call" ? "at most" : null, fiat].filter(Boolean).join(" · ")}</span>
        {kind === "call" ? <span>the rest stays yours</span> : null}
      </p>
    </div>
  );
}
