import { useEffect, useState } from "react";

const QUIET_MS = 500;

interface FilterBoxProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly found: number;
  readonly total: number;
}

/** The filter and how much it leaves. Screen readers hear the count once typing has stopped. */
export function FilterBox({ value, onChange, found, total }: FilterBoxProps) {
  const count = found === total ? `${total} prices listed` : `${found} of ${total} prices`;
  const announced = useSettled(count);
  return (
    <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
      <input
        type="search"
        aria-label="Filter models and endpoints"
        placeholder="Filter models and endpoints"
        autoComplete="off"
        spellCheck={false}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        className="h-11 w-full rounded-control border border-edge bg-surface px-3 text-body sm:w-80"
      />
      <span aria-hidden="true" className="text-note text-ink2 tabular-nums">
        {count}
      </span>
      <span role="status" className="sr-only">
        {announced}
      </span>
    </div>
  );
}

/** A text once it has stood unchanged for half a second. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), QUIET_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
