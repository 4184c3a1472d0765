import { NO_BREAK_SPACE, exactMsat, priceInSats } from "../money";

/** A price in sats, rounded up, its exact value in msat on hover. */
export function SatsPrice({ msat }: { readonly msat: number }) {
  const { amount, unit } = priceInSats(msat);
  return (
    <data value={msat} title={exactMsat(msat)} className="whitespace-nowrap tabular-nums">
      {amount}
      {NO_BREAK_SPACE}
      <span className="font-normal text-ink2">{unit}</span>
    </data>
  );
}
