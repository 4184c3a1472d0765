import type { BtcPrice } from "../../shared/api";
import { bitcoinInUsd } from "../../shared/money";
import { ageText } from "../../shared/time";
import { useNow } from "../../shared/useNow";

const OLD_AFTER_SECONDS = 120;
const SECOND_MS = 1_000;

interface BitcoinPriceProps {
  readonly price: BtcPrice;
  /** When the answer that carried it arrived, in milliseconds. */
  readonly receivedAt: number;
}

/** The price everything is converted at, and how old it is. Counted from arrival, so the visitor's clock may be wrong. */
export function BitcoinPrice({ price, receivedAt }: BitcoinPriceProps) {
  const now = useNow();
  const ageSeconds = price.age_seconds + Math.max(0, now - receivedAt) / SECOND_MS;
  const isOld = ageSeconds >= OLD_AFTER_SECONDS;
  return (
    <p className="flex flex-wrap items-center gap-x-2 text-note tabular-nums">
      <span aria-hidden="true" className={`size-2 rounded-full ${isOld ? "bg-warn" : "bg-ok"}`} />
      <span>
        1 BTC = <span className="font-medium">{bitcoinInUsd(price.usd)}</span>
      </span>
      <span className={isOld ? "text-warn" : "text-ink2"}>
        {isOld ? "old price, " : ""}
        {ageText(ageSeconds)}
      </span>
    </p>
  );
}
