import { Notice } from "../../shared/ui/Notice";

interface PriceNoticesProps {
  /** Whether there is a bitcoin price. */
  readonly hasPrice: boolean;
  /** Whether the server has stopped answering since it told its prices. */
  readonly stopped: boolean;
}

/** What a visitor must know about the prices on the page. */
export function PriceNotices({ hasPrice, stopped }: PriceNoticesProps) {
  return (
    <>
      {stopped ? (
        <Notice look="warn" title="The server has stopped answering">
          These are the last prices it gave. They are asked for again every half minute.
        </Notice>
      ) : null}
      {hasPrice ? null : (
        <Notice look="warn" title="No bitcoin price right now">
          Dollar prices stand, but they cannot be turned into sats, so nothing priced in dollars can be bought
          until the price is back.
        </Notice>
      )}
    </>
  );
}
