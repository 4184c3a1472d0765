import { NO_BREAK_SPACE, type SatsText, balanceInSats, exactMsat, priceInSats } from "../money";

/** A price in sats, rounded up, its exact value in msat on hover. */
export function SatsPrice({ msat }: { readonly msat: number }) {
  return <Amount msat={msat} text={priceInSats(msat)} />;
}

/** What somebody owns in sats, rounded down, its exact value in msat on hover. */
export function SatsOwned({ msat }: { readonly msat: number }) {
  return <Amount msat={msat} text={balanceInSats(msat)} />;
}

function Amount({ msat, text }: { readonly msat: number; readonly text: SatsText }) {
  return (
    <data value={msat} title={exactMsat(msat)} className="whitespace-nowrap tabular-nums">
      {text.amount}
      {NO_BREAK_SPACE}
      <span className="font-normal text-ink2">{text.unit}</span>
    </data>
  );
}
