import { daysUntil, shutdownText } from "../../shared/time";
import { useNow } from "../../shared/useNow";

/** In how many days a model ends. */
export function Shutdown({ date }: { readonly date: string }) {
  const days = daysUntil(date, useNow());
  return (
    <time
      dateTime={date}
      className="inline-block rounded-chip bg-warnsoft px-1.5 text-meta whitespace-nowrap text-warn"
    >
      {shutdownText(days)}
    </time>
  );
}
