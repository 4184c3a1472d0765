import type { ReactNode } from "react";

import type { Filter, SortKey } from "./filter";
import { ModelRow } from "./ModelRow";
import type { Row } from "./rows";

interface ModelTableProps {
  readonly rows: readonly Row[];
  readonly sort: SortKey;
  readonly onSort: (sort: Filter["sort"]) => void;
  /** Dollars per bitcoin; null while there is no price. */
  readonly bitcoinUsd: string | null;
  readonly manyApis: boolean;
}

/** Models with their prices. Narrow screens keep two columns and put the rest under the name. */
export function ModelTable({ rows, sort, onSort, bitcoinUsd, manyApis }: ModelTableProps) {
  return (
    <div className="overflow-hidden rounded-card border border-line bg-surface">
      <table className="w-full border-collapse text-note tabular-nums">
        <caption className="sr-only">Models and their prices</caption>
        <thead className="border-b border-line text-left align-top text-meta text-ink2">
          <tr>
            <SortableHead up="model" sort={sort} onSort={onSort} note="USD per 1M tokens" narrow>
              Model
            </SortableHead>
            <PlainHead align="text-left">Endpoint</PlainHead>
            <PlainHead unit="USD per 1M">Input</PlainHead>
            <PlainHead unit="USD per 1M">Output</PlainHead>
            <SortableHead up="typical" down="-typical" sort={sort} onSort={onSort} note="in sats" right>
              Typical call
            </SortableHead>
            <PlainHead unit="tokens">Context</PlainHead>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <ModelRow key={row.key} row={row} bitcoinUsd={bitcoinUsd} namesApi={manyApis} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface PlainHeadProps {
  readonly unit?: string;
  readonly align?: string;
  readonly children: ReactNode;
}

function PlainHead({ unit, align = "text-right", children }: PlainHeadProps) {
  return (
    <th scope="col" className={`hidden px-4 pt-2 pb-1.5 font-medium md:table-cell ${align}`}>
      {children}
      {unit === undefined ? null : (
        <span className="block font-normal whitespace-nowrap text-ink3">{unit}</span>
      )}
    </th>
  );
}

interface SortableHeadProps {
  readonly up: SortKey;
  readonly down?: SortKey;
  readonly sort: SortKey;
  readonly onSort: (sort: SortKey) => void;
  readonly note: string;
  /** The note is for narrow screens alone, where other columns are folded under the name. */
  readonly narrow?: boolean;
  readonly right?: boolean;
  readonly children: string;
}

/** First press sorts upwards, the next one turns it round, or gives it up where there is no other way round. */
function SortableHead({ up, down, sort, onSort, note, narrow, right, children }: SortableHeadProps) {
  const direction = sort === up ? "ascending" : sort === down ? "descending" : "none";
  const next = sort === up ? (down ?? "listed") : up;
  return (
    <th
      scope="col"
      aria-sort={direction}
      className={`px-2 py-1 font-medium ${right === true ? "text-right" : "text-left"}`}
    >
      <button
        type="button"
        onClick={() => onSort(next)}
        className="inline-flex min-h-7 items-center gap-1 rounded-chip px-2 whitespace-nowrap hover:bg-sunken hover:text-ink"
      >
        {children}
        <SortMark direction={direction} />
      </button>
      <span
        className={`-mt-1 block px-2 font-normal whitespace-nowrap text-ink3 ${narrow === true ? "md:hidden" : ""}`}
      >
        {note}
      </span>
    </th>
  );
}

function SortMark({ direction }: { readonly direction: "ascending" | "descending" | "none" }) {
  return (
    <svg aria-hidden="true" viewBox="0 0 8 12" className="h-3 w-2 fill-current">
      <path d="M4 0l4 5H0z" className={direction === "ascending" ? "" : "opacity-30"} />
      <path d="M4 12l4-5H0z" className={direction === "descending" ? "" : "opacity-30"} />
    </svg>
  );
}
