import { Square } from "lucide-react";

import { grouped } from "../../shared/money";
import { usePaying } from "../../shared/payment";
import type { Refused } from "../../shared/request";
import { Button } from "../../shared/ui/Button";
import { SatsOwned, SatsPrice } from "../../shared/ui/Sats";
import { type Funds, differenceSats } from "../../shared/wallet/funds";
import type { PayFrom } from "./useRun";

interface RunBarProps {
  readonly busy: boolean;
  /** The pay dialog is open for it: the button stays what the focus comes back to, but asks no second time. */
  readonly asking: boolean;
  /** The model that is not sold for a while. */
  readonly paused: string | null;
  /** The upload that is still to be chosen. */
  readonly missing: string | null;
  /** Why the server would refuse the request. */
  readonly refusal: Refused | null;
  readonly ceilingMsat: number | null;
  readonly invoiceSats: number | null;
  readonly typicalMsat: number | null;
  readonly hasToken: boolean;
  /** What the token can spend, null while unknown. */
  readonly tokenMsat: number | null;
  readonly change: Funds | null;
  readonly onRun: (from: PayFrom) => void;
  readonly onStop: () => void;
}

/** The button that pays and runs, and what it will cost. Stop stands where it was. */
export function RunBar(props: RunBarProps) {
  const { busy, asking, onRun, onStop } = props;
  const { prepare } = usePaying();
  const from = sourceOf(props);
  if (busy) {
    return (
      <div className="flex min-h-11 items-center gap-4">
        <Button onClick={onStop}>
          <Square aria-hidden="true" className="size-4 fill-current" />
          Stop
        </Button>
      </div>
    );
  }
  const cannot = hindrance(props);
  return (
    <div className="grid gap-2">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <Button
          look="pay"
          type="submit"
          disabled={cannot !== null}
          onClick={() => (asking ? undefined : onRun(from))}
          onPointerEnter={prepare}
          onFocus={prepare}
          className="w-full sm:w-auto"
        >
          {labelOf(from, props)}
        </Button>
        {from === "invoice" ? null : (
          <Button
            look="plain"
            disabled={cannot !== null}
            onClick={() => (asking ? undefined : onRun("invoice"))}
            className="w-full sm:w-auto"
          >
            Pay this one call
          </Button>
        )}
      </div>
      {cannot === null ? <Terms {...props} from={from} /> : <p className="text-note text-bad">{cannot}</p>}
    </div>
  );
}

/** Why it cannot be run as it stands; null if it can. */
function hindrance({ paused, missing, refusal }: RunBarProps): string | null {
  if (paused !== null) return `The sale of ${paused} is paused: nothing is charged. Choose another model.`;
  return missing === null ? (refusal?.message ?? null) : `Choose a file for “${missing}” first.`;
}

function Terms({
  typicalMsat,
  tokenMsat,
  change,
  ceilingMsat,
  from,
}: RunBarProps & { readonly from: PayFrom }) {
  const owned = from === "token" ? tokenMsat : from === "change" ? (change?.availableMsat ?? null) : null;
  return (
    <p className="text-note text-ink2">
      {ceilingMsat === null ? null : (
        <>
          At most <SatsPrice msat={ceilingMsat} />
          {typicalMsat === null ? ". " : ", "}
        </>
      )}
      {typicalMsat === null ? null : (
        <>
          {ceilingMsat === null ? "Typically" : "typically"} <SatsPrice msat={typicalMsat} />.{" "}
        </>
      )}
      The rest stays yours; if the call fails, all of it.
      {owned === null ? null : (
        <>
          {" "}
          {from === "token" ? "Balance" : "Change"}: <SatsOwned msat={owned} />.
        </>
      )}
    </p>
  );
}

/** A balance that covers the call, else change, else an invoice. */
function sourceOf({ hasToken, tokenMsat, ceilingMsat, change }: RunBarProps): PayFrom {
  const covers = tokenMsat === null || ceilingMsat === null || tokenMsat >= ceilingMsat;
  if (hasToken && covers) return "token";
  return change === null ? "invoice" : "change";
}

function labelOf(from: PayFrom, { invoiceSats, ceilingMsat, change }: RunBarProps): string {
  if (from === "token") return "Run from balance";
  if (from === "change") {
    const available = change?.availableMsat ?? null;
    if (ceilingMsat === null || available === null || available >= ceilingMsat) return "Run with your change";
    return `Pay ${satsText(differenceSats(ceilingMsat, available))} and run`;
  }
  return invoiceSats === null ? "Pay and run" : `Pay ${satsText(invoiceSats)} and run`;
}

function satsText(sats: number): string {
  return `${grouped(String(sats))} ${sats === 1 ? "sat" : "sats"}`;
}
