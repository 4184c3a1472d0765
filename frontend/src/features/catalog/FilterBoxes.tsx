import { ChevronDown } from "lucide-react";

import { Check } from "../../shared/ui/Field";
import { type Filter, countTicked, matchesWords, toggled } from "./filter";
import { KINDS, KIND_TITLES, type Row } from "./rows";

interface FilterBoxesProps {
  readonly rows: readonly Row[];
  readonly filter: Filter;
  readonly onChange: (filter: Filter) => void;
}

/** Boxes for kinds and providers, each with how many models it has. On phones they unfold. */
export function FilterBoxes(props: FilterBoxesProps) {
  const ticked = countTicked(props.filter);
  return (
    <>
      <details className="group rounded-control border border-edge bg-surface md:hidden">
        <summary className="flex h-[42px] cursor-pointer list-none items-center justify-between px-3 text-body [&::-webkit-details-marker]:hidden">
          {ticked === 0 ? "Filters" : `Filters (${ticked})`}
          <ChevronDown aria-hidden="true" className="size-5 text-ink3 group-open:rotate-180" />
        </summary>
        <div className="border-t border-line px-3 py-4">
          <Boxes {...props} />
        </div>
      </details>
      <div className="hidden md:block">
        <Boxes {...props} />
      </div>
    </>
  );
}

function Boxes({ rows, filter, onChange }: FilterBoxesProps) {
  const worded = rows.filter((row) => matchesWords(row, filter.words));
  const kinds = KINDS.filter((kind) => rows.some((row) => row.kind === kind));
  const apis = [...new Map(rows.map(({ api }) => [api.name, api.title]))];
  return (
    <div className="grid grid-cols-2 gap-x-6 gap-y-6 md:grid-cols-1">
      <fieldset>
        <legend className="mb-2 text-meta font-medium text-ink2">Kind</legend>
        {kinds.map((kind) => (
          <Box
            key={kind}
            title={KIND_TITLES[kind]}
            count={worded.filter((row) => row.kind === kind).length}
            checked={filter.kinds.has(kind)}
            onChange={() => onChange({ ...filter, kinds: toggled(filter.kinds, kind) })}
          />
        ))}
      </fieldset>
      {apis.length < 2 ? null : (
        <fieldset>
          <legend className="mb-2 text-meta font-medium text-ink2">Provider</legend>
          {apis.map(([name, title]) => (
            <Box
              key={name}
              title={title}
              count={worded.filter((row) => row.api.name === name).length}
              checked={filter.apis.has(name)}
              onChange={() => onChange({ ...filter, apis: toggled(filter.apis, name) })}
            />
          ))}
        </fieldset>
      )}
    </div>
  );
}

interface BoxProps {
  readonly title: string;
  readonly count: number;
  readonly checked: boolean;
  readonly onChange: () => void;
}

function Box({ title, count, checked, onChange }: BoxProps) {
  return (
    <Check
      checked={checked}
      onChange={onChange}
      className="py-1 text-control"
      label={
        <>
          {title} <span className="text-meta text-ink3 tabular-nums">{count}</span>
        </>
      }
    />
  );
}
