import { daysUntil, shutdownText } from "../../shared/time";
import { useNow } from "../../shared/useNow";

const MARK = "inline-block rounded-chip bg-warnsoft px-1.5 text-meta whitespace-nowrap text-warn";

/** In how many days a model ends. */
export function Shutdown({ date }: { readonly date: string }) {
  const days = daysUntil(date, useNow());
  return (
    <time dateTime={date} className={MARK}>
      {shutdownText(days)}
    </time>
  );
}

/** That a model is listed and cannot be bought now. */
export function NotForSale({ children }: { readonly children: string }) {
  return <span className={MARK}>{children}</span>;
}
