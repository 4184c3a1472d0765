import type { ReactNode } from "react";

import { ModelRow } from "./ModelRow";
import type { Group, Sort, SortKey } from "./rows";

interface CatalogTableProps {
  readonly caption: string;
  readonly groups: readonly Group[];
  readonly sort: Sort | null;
  readonly onSort: (by: SortKey) => void;
}

const COLUMNS = 6;

/** What an API sells, an endpoint after the other. Narrow screens keep two columns and put the rest under the name. */
export function CatalogTable({ caption, groups, sort, onSort }: CatalogTableProps) {
  return (
    <table className="w-full border-collapse text-note tabular-nums">
      <caption className="sr-only">{caption}</caption>
      <thead className="border-b border-line text-left align-top text-meta text-ink2">
        <tr>
          <SortableHead by="model" sort={sort} onSort={onSort} narrowNote="USD per 1M tokens">
            Model
          </SortableHead>
          <PlainHead unit="USD per 1M tokens">Input</PlainHead>
          <PlainHead unit="USD per 1M tokens">Cached input</PlainHead>
          <PlainHead unit="USD per 1M tokens">Output</PlainHead>
          <SortableHead by="typical" sort={sort} onSort={onSort} note="500 in + 300 out">
            Typical call
          </SortableHead>
          <PlainHead unit="tokens">Context</PlainHead>
        </tr>
      </thead>
      {groups.map((group) => (
        <tbody key={group.key} className="not-last:border-b not-last:border-line">
          <tr className="border-b border-line bg-sunken">
            <th scope="rowgroup" colSpan={COLUMNS} className="px-4 py-2.5 text-left font-normal">
              <span className="mr-3 block font-semibold sm:inline">{group.endpoint.title}</span>
              <span className="font-mono text-meta wrap-anywhere text-ink2">
                {group.endpoint.method} {group.endpoint.url}
              </span>
            </th>
          </tr>
          {group.models.map((model) => (
            <ModelRow key={model.id} model={model} />
          ))}
        </tbody>
      ))}
    </table>
  );
}

function PlainHead({ unit, children }: { readonly unit: string; readonly children: ReactNode }) {
  return (
    <th scope="col" className="hidden px-4 pt-2 pb-1.5 text-right font-medium md:table-cell">
      {children}
      <span className="block font-normal text-ink3">{unit}</span>
    </th>
  );
}

interface SortableHeadProps {
  readonly by: SortKey;
  readonly sort: Sort | null;
  readonly onSort: (by: SortKey) => void;
  readonly note?: string;
  /** Said where the price columns are folded under the name. */
  readonly narrowNote?: string;
  readonly children: string;
}

function SortableHead({ by, sort, onSort, note, narrowNote, children }: SortableHeadProps) {
  const direction = sort?.by === by ? sort.direction : "none";
  return (
    <th
      scope="col"
      aria-sort={direction}
      className={`px-2 py-1 font-medium ${by === "typical" ? "text-right" : "text-left"}`}
    >
      <button
        type="button"
        onClick={() => onSort(by)}
        className="inline-flex min-h-7 items-center gap-1 rounded-chip px-2 whitespace-nowrap hover:bg-sunken hover:text-ink"
      >
        {children}
        <SortMark direction={direction} />
      </button>
      {note === undefined ? null : (
        <span className="-mt-1 block px-2 font-normal whitespace-nowrap text-ink3">{note}</span>
      )}
      {narrowNote === undefined ? null : (
        <span className="-mt-1 block px-2 font-normal text-ink3 md:hidden">{narrowNote}</span>
      )}
    </th>
  );
}

function SortMark({ direction }: { readonly direction: Sort["direction"] | "none" }) {
  return (
    <svg aria-hidden="true" viewBox="0 0 8 12" className="h-3 w-2 fill-current">
      <path d="M4 0l4 5H0z" className={direction === "ascending" ? "" : "opacity-30"} />
      <path d="M4 12l4-5H0z" className={direction === "descending" ? "" : "opacity-30"} />
    </svg>
  );
}
