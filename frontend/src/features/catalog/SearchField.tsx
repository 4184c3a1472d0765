import { Search } from "lucide-react";
import { useEffect, useState } from "react";

const QUIET_MS = 500;

interface SearchFieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly found: number;
  readonly total: number;
}

/** The search and how much it leaves. Screen readers hear the count once typing has stopped. */
export function SearchField({ value, onChange, found, total }: SearchFieldProps) {
  const count = found === total ? `${total} models` : `${found} of ${total} models`;
  const announced = useSettled(count);
  return (
    <div className="relative">
      <Search
        aria-hidden="true"
        strokeWidth={1.75}
        className="pointer-events-none absolute top-3 left-3 size-5 text-ink3"
      />
      <input
        type="search"
        aria-label="Search the catalog"
        placeholder="Search models"
        autoComplete="off"
        spellCheck={false}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        className="h-11 w-full rounded-control border border-edge bg-surface pr-3 pl-10 text-body sm:text-control"
      />
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
