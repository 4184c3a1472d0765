import { SatsPrice } from "../../shared/ui/Sats";
import { NotForSale } from "./ModelMarks";
import type { Row } from "./rows";
import type { Suggestions } from "./suggest";

interface SuggestionListProps {
  readonly id: string;
  readonly suggestions: Suggestions;
  /** Which option the keyboard is at: a row, or the last one, which is the whole search; -1 for none. */
  readonly active: number;
  readonly onChoose: (index: number) => void;
  readonly onPoint: (index: number) => void;
}

/** The id of one option, for `aria-activedescendant`. */
export function optionId(id: string, index: number): string {
  return `${id}-${index}`;
}

/** Models with what a typical call costs, and last the way to all that match. The focus stays in the search. */
export function SuggestionList({ id, suggestions, active, onChoose, onPoint }: SuggestionListProps) {
  const { rows, found } = suggestions;
  const option = (index: number) => ({
    id: optionId(id, index),
    role: "option",
    "aria-selected": index === active,
    // A press would take the focus out of the search and close the list before the click.
    onMouseDown: (event: React.MouseEvent) => event.preventDefault(),
    onClick: () => onChoose(index),
    onPointerMove: () => onPoint(index),
  });
  return (
    <div className="absolute top-full right-0 z-30 mt-1.5 w-[420px] overflow-hidden rounded-card border border-line bg-surface shadow-layer">
      <p
        aria-hidden="true"
        className="flex justify-between border-b border-line px-4 py-1.5 text-meta text-ink2"
      >
        <span>Model</span>
        <span>Typical call</span>
      </p>
      {/* The keyboard is handled by the search field, which keeps the focus. */}
      <div id={id} role="listbox" aria-label="Suggestions">
        {rows.map((row, index) => (
          <div
            key={row.key}
            {...option(index)}
            className="flex cursor-pointer items-center justify-between gap-4 border-b border-line px-4 py-2 aria-selected:bg-sunken"
          >
            <span className="min-w-0">
              <span className="block text-control font-medium wrap-anywhere">{row.model.id}</span>
              <span className="block text-meta text-ink2">{aboutText(row)}</span>
            </span>
            <Price row={row} />
          </div>
        ))}
        <div
          {...option(rows.length)}
          className="cursor-pointer px-4 py-2.5 text-note text-ink2 aria-selected:bg-sunken aria-selected:text-ink"
        >
          {found === 1 ? "Show it in the catalog" : `Show all ${found} in the catalog`}
        </div>
      </div>
    </div>
  );
}

function aboutText({ api, endpoints }: Row): string {
  return `${api.title} · ${endpoints.map(({ title }) => title).join(", ")}`;
}

function Price({ row: { api, model } }: { readonly row: Row }) {
  if (!api.available) return <NotForSale>not for sale now</NotForSale>;
  if (model.paused) return <NotForSale>paused</NotForSale>;
  if (model.typical_price_msat === null) return null;
  return (
    <span className="text-control font-medium">
      <SatsPrice msat={model.typical_price_msat} />
    </span>
  );
}
