import { NO_BREAK_SPACE, exactMsat, grouped } from "../../shared/money";
import { type Entry, tokensOf } from "./usage";

interface HistoryTableProps {
  readonly entries: readonly Entry[];
  readonly isFiltered: boolean;
}

const HEAD = "px-4 py-2 font-medium whitespace-nowrap";
const TIME = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** Entries with exact amounts. On phones each is two lines. */
export function HistoryTable({ entries, isFiltered }: HistoryTableProps) {
  if (entries.length === 0) {
    return (
      <p className="text-control text-ink2">
        {isFiltered
          ? "Nothing here matches the filters."
          : "Nothing yet. Calls and payments show here at once."}
      </p>
    );
  }
  return (
    <div className="overflow-hidden rounded-card border border-line bg-surface">
      <table className="w-full text-note tabular-nums">
        <caption className="sr-only">Entries of the account, newest first</caption>
        <thead>
          <tr className="border-b border-line text-left text-ink2">
            <th scope="col" className={`${HEAD} hidden md:table-cell`}>
              Time
            </th>
            <th scope="col" className={HEAD}>
              What
            </th>
            <th scope="col" className={`${HEAD} hidden text-right md:table-cell`}>
              Tokens in, out
            </th>
            <th scope="col" className={`${HEAD} text-right`}>
              Amount
            </th>
            <th scope="col" className={`${HEAD} hidden text-right lg:table-cell`}>
              Balance after
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <Row key={entry.id} entry={entry} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ entry }: { readonly entry: Entry }) {
  const time = TIME.format(Date.parse(entry.at));
  const tokens = tokensOf(entry);
  return (
    <tr className="border-b border-line align-top last:border-b-0">
      <td className="hidden px-4 py-2 whitespace-nowrap text-ink2 md:table-cell">
        <time dateTime={entry.at}>{time}</time>
      </td>
      <th scope="row" className="px-4 py-2 text-left font-normal">
        <span className="font-medium wrap-anywhere">{nameOf(entry)}</span>
        {entry.path === null ? null : (
          <span className="block text-meta text-ink2 wrap-anywhere">{entry.path}</span>
        )}
        <span className="block text-meta text-ink2 md:hidden">{time}</span>
        <span className="block font-mono text-meta text-ink3 wrap-anywhere">
          {entry.request_id ??
            (entry.payment_hash === null ? "" : `payment ${entry.payment_hash.slice(0, 12)}…`)}
        </span>
      </th>
      <td className="hidden px-4 py-2 text-right whitespace-nowrap text-ink2 md:table-cell">
        {tokens === null ? "" : `${grouped(String(tokens.input))}, ${grouped(String(tokens.output))}`}
      </td>
      <td className="px-4 py-2 text-right whitespace-nowrap">{signed(entry.amount_msat)}</td>
      <td className="hidden px-4 py-2 text-right whitespace-nowrap text-ink2 lg:table-cell">
        {exactMsat(entry.balance_msat)}
      </td>
    </tr>
  );
}

function nameOf({ type, model, path }: Entry): string {
  if (type === "charge") return model ?? path ?? "A call";
  return { credit: "Paid in", over: "Paid more than asked", adjust: "Adjusted by the operator" }[type];
}

/** `−17 msat`, `+2 000 msat`. */
function signed(msat: number): string {
  return `${msat < 0 ? "−" : "+"}${NO_BREAK_SPACE}${exactMsat(Math.abs(msat))}`;
}
