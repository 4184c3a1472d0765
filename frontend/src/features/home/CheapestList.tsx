import { Link } from "react-router";

import type { Catalog } from "../../shared/api";
import { SatsPrice } from "../../shared/ui/Sats";
import { cheapestOf } from "./cheapest";

const SHOWN = 8;

/** From how much each kind of call is sold. */
export function CheapestList({ catalog }: { readonly catalog: Catalog }) {
  const found = cheapestOf(catalog).slice(0, SHOWN);
  if (found.length === 0) return null;
  return (
    <section aria-labelledby="cheapest">
      <h2 id="cheapest" className="text-h2 font-semibold">
        From how much
      </h2>
      <ul className="mt-4 grid border-t border-line sm:grid-cols-2 sm:gap-x-10">
        {found.map(({ endpoint, model, msat }) => (
          <li key={endpoint.url} className="border-b border-line">
            <Link
              to={`/catalog${endpoint.url}?model=${encodeURIComponent(model.id)}`}
              className="flex min-h-11 items-center justify-between gap-4 py-2.5 text-control hover:bg-sunken"
            >
              <span>
                <span className="font-medium">{endpoint.title}</span>{" "}
                <span className="text-note text-ink2">{model.id}</span>
              </span>
              <span className="whitespace-nowrap">
                <span className="text-note text-ink2">typically </span>
                <span className="font-medium">
                  <SatsPrice msat={msat} />
                </span>
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
