import { useState } from "react";

import type { Api, Catalog } from "../../shared/api";
import { Button } from "../../shared/ui/Button";
import { Notice } from "../../shared/ui/Notice";
import { CatalogTable } from "./CatalogTable";
import { FilterBox } from "./FilterBox";
import { type Group, type Sort, type SortKey, countModels, groupsOf, nextSort } from "./rows";

/** Everything that is sold, with a filter and a sort. */
export function CatalogView({ catalog }: { readonly catalog: Catalog }) {
  const [filter, setFilter] = useState("");
  const [sort, setSort] = useState<Sort | null>(null);
  const shown = catalog.apis.map((api) => ({ api, groups: groupsOf(api, filter, sort) }));
  const total = countModels(catalog.apis.flatMap((api) => groupsOf(api, "", null)));
  const found = countModels(shown.flatMap(({ groups }) => groups));
  if (total === 0) return <NothingListed />;
  return (
    <div className="grid gap-6">
      <FilterBox value={filter} onChange={setFilter} found={found} total={total} />
      {found === 0 ? <NothingFound filter={filter} onClear={() => setFilter("")} /> : null}
      {shown.map(({ api, groups }) =>
        groups.length === 0 ? null : (
          <ApiPrices
            key={api.name}
            api={api}
            groups={groups}
            sort={sort}
            onSort={(by) => setSort(nextSort(sort, by))}
          />
        ),
      )}
    </div>
  );
}

interface ApiPricesProps {
  readonly api: Api;
  readonly groups: readonly Group[];
  readonly sort: Sort | null;
  readonly onSort: (by: SortKey) => void;
}

function ApiPrices({ api, groups, sort, onSort }: ApiPricesProps) {
  return (
    <section aria-label={api.title} className="grid gap-3">
      <h3 className="font-semibold">{api.title}</h3>
      {api.available ? null : (
        <Notice look="warn" title={`${api.title} is not for sale right now`}>
          {api.unavailable_reason} You cannot be charged: no invoice is made until it is back.
        </Notice>
      )}
      <div className="overflow-hidden rounded-card border border-line bg-surface">
        <CatalogTable caption={`Prices of ${api.title}`} groups={groups} sort={sort} onSort={onSort} />
      </div>
    </section>
  );
}

function NothingListed() {
  return (
    <Notice look="warn" title="Nothing is for sale here yet">
      The server is running, but its catalog is empty.
    </Notice>
  );
}

function NothingFound({ filter, onClear }: { readonly filter: string; readonly onClear: () => void }) {
  return (
    <div className="grid justify-items-center gap-4 rounded-card border border-line bg-surface px-4 py-12 text-center">
      <p className="wrap-anywhere">Nothing matches “{filter}”.</p>
      <Button onClick={onClear}>Clear filter</Button>
    </div>
  );
}
