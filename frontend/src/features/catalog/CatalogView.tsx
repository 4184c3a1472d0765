import { useDeferredValue, useMemo } from "react";

import type { Api, Catalog } from "../../shared/api";
import { typicalText } from "../../shared/prices";
import { Button } from "../../shared/ui/Button";
import { Select } from "../../shared/ui/Field";
import { Notice } from "../../shared/ui/Notice";
import { type Filter, SORTS, type SortKey, shownRows } from "./filter";
import { FilterBoxes } from "./FilterBoxes";
import { ModelTable } from "./ModelTable";
import { KINDS, KIND_TITLES, type Row, rowsOf } from "./rows";
import { SearchField } from "./SearchField";

interface CatalogViewProps {
  readonly catalog: Catalog;
  readonly filter: Filter;
  readonly onFilter: (filter: Filter) => void;
}

const NO_FILTER: Filter = { words: "", kinds: new Set(), apis: new Set(), sort: "listed" };

/** Everything that is sold, searched, filtered and sorted. */
export function CatalogView({ catalog, filter, onFilter }: CatalogViewProps) {
  const rows = useMemo(() => rowsOf(catalog), [catalog]);
  const shown = shownRows(rows, useDeferredValue(filter));
  const typical = typicalCalls(shown);
  const change = (changes: Partial<Filter>) => onFilter({ ...filter, ...changes });
  if (rows.length === 0) return <NothingListed />;
  return (
    // On phones the filters stand beside the sort, and take its row when they unfold.
    <div className="grid grid-cols-2 gap-x-3 gap-y-4 md:grid-cols-[136px_minmax(0,1fr)] md:gap-x-8">
      <div className="contents md:col-span-2 md:grid md:grid-cols-[minmax(0,1fr)_240px] md:gap-3">
        <div className="col-span-2 md:col-span-1">
          <SearchField
            value={filter.words}
            onChange={(words) => change({ words })}
            found={shown.length}
            total={rows.length}
          />
        </div>
        <SortSelect sort={filter.sort} onChange={(sort) => change({ sort })} />
      </div>
      <aside aria-label="Filters" className="has-[details[open]]:col-span-2">
        <FilterBoxes rows={rows} filter={filter} onChange={onFilter} />
      </aside>
      <div className="col-span-2 grid content-start gap-4 md:col-span-1">
        <ClosedApis apis={catalog.apis} />
        {shown.length === 0 ? (
          <NothingFound words={filter.words} onClear={() => onFilter({ ...NO_FILTER, sort: filter.sort })} />
        ) : (
          <ModelTable
            rows={shown}
            sort={filter.sort}
            onSort={(sort) => change({ sort })}
            bitcoinUsd={catalog.btc_price?.usd ?? null}
            manyApis={catalog.apis.length > 1}
          />
        )}
        <p className="flex flex-wrap justify-between gap-x-6 text-meta text-ink2 tabular-nums">
          <span aria-hidden="true">
            {shown.length === rows.length
              ? `${rows.length} models`
              : `${shown.length} of ${rows.length} models`}
          </span>
          {typical === "" ? null : <span>A typical call: {typical}</span>}
        </p>
      </div>
    </div>
  );
}

/** What the figures of the table are for: `text 500 in + 300 out tokens; audio 60 seconds`. */
function typicalCalls(rows: readonly Row[]): string {
  const metered = rows.filter(isMetered);
  const kinds = KINDS.flatMap((kind) => {
    const endpoints = metered.filter((row) => row.kind === kind).flatMap((row) => row.endpoints);
    const texts = [...new Set(endpoints.flatMap((endpoint) => typicalText(endpoint) ?? []))];
    return texts.length === 0 ? [] : [`${KIND_TITLES[kind].toLowerCase()} ${texts.join(" or ")}`];
  });
  return kinds.join("; ");
}

/** Whether a call's price depends on what is in it. */
function isMetered({ prices: { input, output, others } }: Row): boolean {
  return input !== null || output !== null || others.some(({ unit }) => unit !== "call");
}

interface SortSelectProps {
  readonly sort: SortKey;
  readonly onChange: (sort: SortKey) => void;
}

function SortSelect({ sort, onChange }: SortSelectProps) {
  return (
    <Select aria-label="Sort" value={sort} onChange={(event) => onChange(sortOf(event.target.value))}>
      {Object.entries(SORTS).map(([key, title]) => (
        <option key={key} value={key}>
          {title}
        </option>
      ))}
    </Select>
  );
}

function sortOf(value: string): SortKey {
  for (const key of ["typical", "-typical", "model", "-context"] as const) if (key === value) return key;
  return "listed";
}

/** Which providers cannot be bought now, and why if it is one. */
function ClosedApis({ apis }: { readonly apis: readonly Api[] }) {
  const closed = apis.filter(({ available }) => !available);
  const [first, ...others] = closed;
  if (first === undefined) return null;
  const names = new Intl.ListFormat("en").format(closed.map(({ title }) => title));
  return (
    <Notice look="warn" title={`${names} ${others.length === 0 ? "is" : "are"} not for sale right now`}>
      {others.length === 0 ? `${first.unavailable_reason} ` : ""}You cannot be charged: no invoice is made
      until
      {others.length === 0 ? " it is" : " they are"} back.
    </Notice>
  );
}

function NothingListed() {
  return (
    <Notice look="warn" title="Nothing is for sale here yet">
      The server is running, but its catalog is empty.
    </Notice>
  );
}

interface NothingFoundProps {
  readonly words: string;
  readonly onClear: () => void;
}

function NothingFound({ words, onClear }: NothingFoundProps) {
  return (
    <div className="grid justify-items-center gap-4 rounded-card border border-line bg-surface px-4 py-12 text-center">
      <p className="wrap-anywhere">{words === "" ? "Nothing matches." : `Nothing matches “${words}”.`}</p>
      <Button onClick={onClear}>Clear filters</Button>
    </div>
  );
}
